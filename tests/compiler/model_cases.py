"""Runs whole compiled models, many in one program, on this machine or on an emulated board."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from machines.case_machines import KernelBuild
from machines.case_programs import CaseEntry, CaseOutcome, run_entries

from tinyedge.compiler.emit.emitter import emit
from tinyedge.compiler.options import CompileOptions
from tinyedge.compiler.program import Program, compile_graph
from tinyedge.errors import TinyEdgeError
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.tflite.model import Model


@dataclass(frozen=True, eq=False)
class ModelCase:
    """A model and what to feed it.

    Attributes:
        label: Says which case it is.
        model: The .tflite file.
        inputs: (runs, *input shape[1:]) int8.
    """

    label: str
    model: Model
    inputs: np.ndarray

    @cached_property
    def expected(self) -> np.ndarray:
        """What TFLite Micro gives, (runs, *output shape[1:]) int8."""
        return TflmRuntime(self.model).run(self.inputs)


@lru_cache(maxsize=256)
def _compiled(case: ModelCase, instruction_set: str, optimize: str) -> Program:
    """The case's program: on this machine, under the sanitisers and on a board it is the same."""
    try:
        return compile_graph(case.model.graph(), CompileOptions(instruction_set, optimize=optimize))
    except TinyEdgeError as error:
        raise AssertionError(f"{case.label}: {error}") from error


def model_outcomes(
    cases: Sequence[ModelCase],
    kernels: KernelBuild,
    folder: Path,
    rewrite: Callable[[Program], Program] | None = None,
    optimize: str = "balanced",
) -> list[CaseOutcome]:
    """What the compiled and rewritten models give, and in how many instructions where the machine counts."""
    objects, entries = [], []
    for index, case in enumerate(cases):
        program = _compiled(case, kernels.machine.instruction_set, optimize)
        program = program if rewrite is None else rewrite(program)
        sources = folder / f"model_{index}"
        # Each model has functions of its own names; the kernels are shared.
        name = f"case_{index}"
        emit(program, name, sources)
        model, target = sources / f"{name}_model.c", folder / f"model_{index}.o"
        objects.append(kernels.machine.compile(model, target, kernels.machine.caller_flags))
        entries.append(
            CaseEntry(
                label=case.label,
                declarations=f'#include "{sources.name}/{name}_model.h"\n',
                body=(
                    f"    memcpy({name}_input(), inputs[0], {program.inputs[0].bytes});\n"
                    f"    (void){name}_invoke();\n"
                    f"    memcpy(output, {name}_output(), {program.outputs[0].bytes});\n"
                ),
                inputs=[case.inputs],
                output_shape=program.outputs[0].shape[1:],
                output_dtype=np.int8,
            )
        )
    return run_entries(entries, kernels, folder, objects)


def assert_models_bit_exact(
    cases: Sequence[ModelCase],
    kernels: KernelBuild,
    folder: Path,
    rewrite: Callable[[Program], Program] | None = None,
    optimize: str = "balanced",
) -> list[CaseOutcome]:
    """Fail, naming the case, unless every output byte of every run equals TFLite Micro's."""
    outcomes = model_outcomes(cases, kernels, folder, rewrite, optimize)
    for case, outcome in zip(cases, outcomes, strict=True):
        differing = int((outcome.outputs != case.expected).sum())
        assert differing == 0, (
            f"{case.label} on {kernels.machine.name}: {differing} of {case.expected.size} output values differ"
        )
    return outcomes
