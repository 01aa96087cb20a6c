"""`tinyedge compile` as a function: a model file in, a folder of C out."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tinyedge.compiler.emit.emitter import program_files
from tinyedge.compiler.emit.header import ModelStack
from tinyedge.compiler.emit.library_folder import ModelRecord, put_model
from tinyedge.compiler.emit.library_layout import model_files
from tinyedge.compiler.emit.model_card import read_card
from tinyedge.compiler.emit.names import check_name, default_name
from tinyedge.compiler.memory.memory_plan import MemoryPlan
from tinyedge.compiler.options import CompileOptions
from tinyedge.compiler.program import KeptKernel, compile_graph
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


def compile_model(
    model: Path | Model,
    directory: Path,
    options: CompileOptions = CompileOptions(),
    name: str | None = None,
    stack_of: Callable[[Mapping[PurePosixPath, bytes], str], ModelStack] | None = None,
) -> CompileReport:
    """Compile a full-INT8 .tflite file to C99.

    Args:
        model: The file, or its path.
        directory: For the sources; created where it does not exist. Its other models stay, one of the same name is
            replaced, see `tinyedge.compiler.emit.library_folder`.
        options: How to compile it.
        name: What the model is called in C; None: as the file, see `tinyedge.compiler.emit.names.default_name`.
        stack_of: Finds what an inference takes of the stack, from the C sources and the name; None: that is not told.

    Raises:
        ModelError: The model cannot be read or compiled.
        ConfigError: `name` is no name in C, or a file of `directory` is in the way.
    """
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
    sources = {PurePosixPath("src", path): content for path, content in files.items()}
    record = ModelRecord(model.path.name, graph.sha256, options.instruction_set, ())
    sizes, foreign = put_model(Path(directory), name, record, sources | model_files(program, name))
    return CompileReport(
        model=model.path,
        sha256=graph.sha256,
        name=name,
        directory=Path(directory),
        instruction_set=options.instruction_set,
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
