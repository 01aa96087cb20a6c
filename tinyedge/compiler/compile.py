"""`tinyedge compile` as a function: a model file in, a folder of C out."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tinyedge import notebook
from tinyedge.compiler.emit.emitter import program_files
from tinyedge.compiler.emit.golden import Golden, golden_header
from tinyedge.compiler.emit.header import ModelStack
from tinyedge.compiler.emit.library_folder import ModelRecord, put_model
from tinyedge.compiler.emit.library_layout import USUAL_LAYOUTS, check_layouts, model_files
from tinyedge.compiler.emit.model_card import read_card
from tinyedge.compiler.emit.names import check_name, default_name
from tinyedge.compiler.memory.memory_plan import MemoryPlan
from tinyedge.compiler.options import CompileOptions
from tinyedge.compiler.program import KeptKernel, Program, compile_graph
from tinyedge.tflite.model import Model, open_model


@dataclass(frozen=True)
class CompileReport:
    """What was compiled and what it costs.

    Attributes:
        model: The .tflite file.
        sha256: Of that file.
        name: What the model is called in C.
        directory: Holds the C sources.
        instruction_set: What they are written for.
        layouts: The build systems that take the folder as it lies.
        golden_source: What computed the output that the examples compare with; None where they compare nothing.
        files: Size in bytes of each file that tinyedge has in the folder, by path; those of its other models too.
        foreign: What else is beside them; it was left as it is.
        seconds: From reading the model to the last file.
        cascades: The layers that run together a stripe of rows at a time, each as (first, last, rows of the output).
        plan: Where each activation lives in RAM.
        arena_bytes: RAM for all activations.
        lower_bound_bytes: No plan of the arena needs less.
        state_bytes: RAM beside the arena for what lasts from one inference to the next.
        stack_bytes: What an inference takes of the stack at most; None where that was not asked for.
        constant_bytes: Read-only data of all layers.
        macs: Multiply-accumulates of one inference.
        parameters: Weights and biases.
        operators_before: How many of each operator the model has.
        operators_after: How many of each are left to run.
        kept_kernels: The layers that a kernel of the instruction set might run, and does not, with the reason.
    """

    model: Path
    sha256: str
    name: str
    directory: Path
    instruction_set: str
    layouts: tuple[str, ...]
    golden_source: str | None
    files: dict[str, int]
    foreign: tuple[str, ...]
    seconds: float
    cascades: tuple[tuple[int, int, int], ...]
    plan: MemoryPlan
    arena_bytes: int
    lower_bound_bytes: int
    state_bytes: int
    stack_bytes: int | None
    constant_bytes: int
    macs: int
    parameters: int
    operators_before: dict[str, int]
    operators_after: dict[str, int]
    kept_kernels: tuple[KeptKernel, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        own = {
            "model": str(self.model),
            "directory": str(self.directory),
            "plan": [vars(t) for t in self.plan.tensors],
            "kept_kernels": [vars(kept) for kept in self.kept_kernels],
        }
        return {"schema": 1, **vars(self), **own}

    def _repr_html_(self) -> str:
        """For a notebook: what it costs, and the memory plan."""
        rows = (
            ("instruction set", self.instruction_set),
            ("arena, bytes", self.arena_bytes),
            ("states, bytes", self.state_bytes),
            ("stack, bytes", self.stack_bytes),
            ("constants, bytes", self.constant_bytes),
            ("parameters", self.parameters),
            ("multiply-accumulates", self.macs),
        )
        size = f"{self.model} as {self.name} in {self.directory}"
        return notebook.paragraph(size, bold=True) + notebook.table(("cost", ""), rows) + self.plan._repr_html_()


def compile_model(
    model: Path | Model,
    directory: Path,
    options: CompileOptions = CompileOptions(),
    name: str | None = None,
    stack_of: Callable[[Mapping[PurePosixPath, bytes], str], ModelStack] | None = None,
    layouts: Sequence[str] = USUAL_LAYOUTS,
    golden_of: Callable[[Model, Program], Golden | None] | None = None,
) -> CompileReport:
    """Compile a full-INT8 .tflite file to C99.

    Args:
        model: The file, or its path.
        directory: For the sources; created where it does not exist. Its other models stay, one of the same name is
            replaced, see `tinyedge.compiler.emit.library_folder`.
        options: How to compile it.
        name: What the model is called in C; None: as the file, see `tinyedge.compiler.emit.names.default_name`.
        stack_of: Finds what an inference takes of the stack, from the C sources and the name; None: that is not told.
        layouts: The build systems to make the folder for, of `LAYOUTS`.
        golden_of: Finds what the output of the examples has to be; None: they compare nothing.

    Raises:
        ModelError: The model cannot be read or compiled.
        ConfigError: `name` is no name in C, there is no such layout, or a file of `directory` is in the way.
    """
    check_layouts(layouts)
    if name is not None:
        check_name(name)
    started = time.perf_counter()
    model = open_model(model)
    name = name or default_name(model.path.stem)
    graph = model.graph()
    card = read_card(model.path, graph)
    operators_before = graph.histogram()
    program = compile_graph(graph, options)
    files = program_files(program, name, card)
    stack = None
    if stack_of is not None:
        stack = stack_of(files, name)
        files = program_files(program, name, card, stack)
    golden = None if golden_of is None else golden_of(model, program)
    files[PurePosixPath(f"{name}_golden.h")] = golden_header(program, name, golden).encode()
    sources = {PurePosixPath("src", path): content for path, content in files.items()}
    record = ModelRecord(model.path.name, graph.sha256, options.instruction_set, (), tuple(dict.fromkeys(layouts)))
    sizes, foreign = put_model(
        Path(directory), name, record, sources | model_files(program, name, layouts, golden is not None)
    )
    return CompileReport(
        model=model.path,
        sha256=graph.sha256,
        name=name,
        directory=Path(directory),
        instruction_set=options.instruction_set,
        layouts=record.layouts,
        golden_source=None if golden is None else golden.source,
        files=sizes,
        foreign=foreign,
        seconds=time.perf_counter() - started,
        cascades=program.cascades(),
        plan=program.plan,
        arena_bytes=program.plan.arena_bytes,
        lower_bound_bytes=program.plan.lower_bound_bytes,
        state_bytes=program.plan.state_bytes,
        stack_bytes=None if stack is None else stack.bytes,
        constant_bytes=program.constant_bytes,
        macs=program.macs,
        parameters=program.parameters,
        operators_before=operators_before,
        operators_after=graph.histogram(),
        kept_kernels=program.kept_kernels(),
    )
