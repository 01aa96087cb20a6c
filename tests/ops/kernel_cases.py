"""Runs one-operator models through TFLite Micro and through the lowered kernels, many cases in one C program."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from machines.case_machines import KernelBuild
from machines.case_programs import CaseEntry, CaseOutcome, run_entries

from tinyedge.compiler.costs import default_costs
from tinyedge.compiler.emit.c_text import member_literal, string_array
from tinyedge.compiler.kernels import hasten, specialise
from tinyedge.compiler.passes.detection_codes import detection_codes
from tinyedge.compiler.passes.separate_outputs import separate_outputs
from tinyedge.ops import lower
from tinyedge.ops.kernel_call import ConstantArray, KernelCall
from tinyedge.tflite.graph import Operator, Tensor
from tinyedge.tflite.reader import parse_tflite


@dataclass(frozen=True, eq=False)
class Case:
    """A model of one operator and what to feed it.

    Attributes:
        label: Says which case it is.
        model: The .tflite file.
        inputs: One array an input of the model, each (runs, *shape) of its type.
        output: Which output of the operator is asked for.
        peer: Gives what is expected; for what TFLite Micro lacks, `litert_outputs`.
    """

    label: str
    model: bytes
    inputs: Sequence[np.ndarray]
    output: int = 0
    peer: "Callable[[Case], np.ndarray] | None" = None


def int8_values(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Random int8, with -128 and 127 over-represented."""
    values = rng.integers(-128, 128, size=shape)
    extremes = rng.choice([-128, 127], size=shape)
    return np.where(rng.random(shape) < 0.1, extremes, values).astype(np.int8)


def int16_values(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Random int16, with small values, -32768 and 32767 over-represented."""
    values = rng.integers(-(2**15), 2**15, size=shape) >> rng.integers(0, 12, size=shape)
    extremes = rng.choice([-(2**15), 2**15 - 1], size=shape)
    return np.where(rng.random(shape) < 0.1, extremes, values).astype(np.int16)


def read_operator(model: bytes, folder: Path, output: int = 0) -> Operator:
    """The only operator of a model; of one that is taken apart, what makes an output."""
    # No file: to write one anew for each case makes the file system wait. Alone, an operator may take int16.
    graph = parse_tflite(folder / "case.tflite", model).any_graph()
    detection_codes(graph)
    separate_outputs(graph)
    return graph.operators[output]


def tflite_micro_outputs(case: Case) -> np.ndarray:
    """(runs, *output shape) from TFLite Micro's interpreter."""
    from machines.micro_interpreter import micro_interpreter

    interpreter = micro_interpreter(case.model, 4 * len(case.model) + 500_000)
    outputs = []
    for run in range(len(case.inputs[0])):
        for position, values in enumerate(case.inputs):
            interpreter.set_input(values[run], position)
        interpreter.invoke()
        outputs.append(np.array(interpreter.get_output(case.output)))
    return np.stack(outputs)


def litert_outputs(case: Case) -> np.ndarray:
    """(runs, *output shape) from LiteRT's reference kernels."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=case.model, experimental_op_resolver_type=OpResolverType.BUILTIN_REF, num_threads=1
    )
    interpreter.allocate_tensors()
    outputs = []
    for run in range(len(case.inputs[0])):
        for detail, values in zip(interpreter.get_input_details(), case.inputs, strict=True):
            interpreter.set_tensor(detail["index"], values[run])
        interpreter.invoke()
        outputs.append(np.array(interpreter.get_tensor(interpreter.get_output_details()[case.output]["index"])))
    return np.stack(outputs)


def kernel_outcomes(
    cases: Sequence[Case], kernels: KernelBuild, folder: Path, *, speed: bool = False
) -> list[CaseOutcome]:
    """What the C kernels give for each case, and in how many instructions where the machine counts.

    With `speed` they are those that spend flash or scratch for time.
    """
    calls = _calls(_lowered(cases, folder), kernels, speed)
    entries = [_entry(str(index), case, call) for index, (case, call) in enumerate(zip(cases, calls, strict=True))]
    return run_entries(entries, kernels, folder)


def assert_bit_exact(
    cases: Sequence[Case], builds: Sequence[KernelBuild], folder: Path, *, speed: bool = False, spend_flash: bool = True
) -> None:
    """Fail, naming the case, unless every element of every run equals TFLite Micro's, for each build of the kernels.

    With `speed` they are those that spend scratch for time, and flash unless that is asked to be spared.
    """
    expected = [(case.peer or tflite_micro_outputs)(case) for case in cases]
    lowered = _lowered(cases, folder)
    seen: set[tuple[object, ...]] = set()
    # Builds of the same objects differ in what calls them: they are one program.
    programs: dict[tuple[Path, ...], tuple[KernelBuild, list[tuple[CaseEntry, np.ndarray]]]] = {}
    for kernels in builds:
        objects = tuple(kernels.objects)
        _, runs = programs.setdefault(objects, (kernels, []))
        has_others = bool(runs)
        where = f"on {kernels.machine.name} ({kernels.machine.instruction_set})"
        calls = _calls(lowered, kernels, speed, spend_flash)
        for index, (case, call, values) in enumerate(zip(cases, calls, expected, strict=True)):
            entry = _entry(str(index), case, call)
            # Many operators have one kernel for all processors: what two builds have alike, to the byte, runs once.
            key = (*objects, entry.declarations, entry.body)
            if key in seen:
                continue
            seen.add(key)
            if has_others:
                entry = _entry(f"{index}_{kernels.machine.instruction_set}", case, call)
            runs.append((replace(entry, label=f"{case.label} {where}"), values))
    for kernels, runs in programs.values():
        outcomes = run_entries([entry for entry, _ in runs], kernels, folder)
        for (entry, values), outcome in zip(runs, outcomes, strict=True):
            _assert_equal(outcome.outputs, values, entry.label)


def _lowered(cases: Sequence[Case], folder: Path) -> list[KernelCall]:
    return [lower(read_operator(case.model, folder, case.output)) for case in cases]


def _calls(
    lowered: list[KernelCall], kernels: KernelBuild, speed: bool, spend_flash: bool = True
) -> list[tuple[KernelCall, list[Tensor]]]:
    """The kernels of the machine, each with the activations that its case has values for."""
    calls = specialise(lowered, kernels.machine.instruction_set)
    if speed:
        costs = default_costs(kernels.machine.instruction_set)
        calls = hasten(lowered, calls, kernels.machine.instruction_set, costs, spend_flash=spend_flash)
    return [(call, list(dict.fromkeys(portable.inputs))) for portable, call in zip(lowered, calls, strict=True)]


def _assert_equal(output: np.ndarray, expected: np.ndarray, where: str) -> None:
    assert (output.shape, output.dtype) == (expected.shape, expected.dtype), where
    wrong = np.flatnonzero((output != expected).reshape(-1))
    if wrong.size:
        first = wrong[0]
        raise AssertionError(
            f"{where}: {wrong.size} of {output.size} elements differ, the first at {first}: "
            f"{output.reshape(-1)[first]} instead of {expected.reshape(-1)[first]}"
        )


def declared_params(name: str, call: KernelCall) -> str:
    """The parameters of a call as file-scope constants; the struct has that name."""
    declarations, members = [], []
    for field, value in call.fields.items():
        member = call.kernel.member(field)
        if isinstance(value, ConstantArray):
            array = f"{name}_{field.rpartition('.')[2]}"
            declarations.append(string_array(array, value.values))
            members.append(f".{member} = {array}")
        elif isinstance(value, tuple):
            members.append(f".{member} = {{{', '.join(map(str, value))}}}")
        else:
            members.append(f".{member} = {member_literal(value)}")
    return "".join([*declarations, f"static const {call.kernel.struct} {name} = {{{', '.join(members)}}};\n"])


def _entry(name: str, case: Case, called: tuple[KernelCall, list[Tensor]]) -> CaseEntry:
    """The call of the kernel with its parameters as file-scope constants, whose names end in that of the case."""
    call, activations = called
    declarations = [declared_params(f"p{name}", call)]
    pointers = [f"inputs[{activations.index(tensor)}]" for tensor in call.inputs]
    if call.inputs_as_array:
        pointers = [f"(const {call.output.dtype.name}_t *const[]){{{', '.join(pointers)}}}"]
    for at, state in enumerate(call.states):
        zero = 0 if state.dtype != np.int8 else state.q.zero_point
        values = ", ".join([str(zero)] * state.elements)
        declarations.append(f"static {state.dtype.name}_t s{name}_{at}[{state.elements}] = {{{values}}};\n")
    states = [f"s{name}_{at}" for at in range(len(call.states))]
    arguments = ", ".join([f"&p{name}", *pointers, "output", "scratch", *states])
    return CaseEntry(
        label=case.label,
        declarations="".join(declarations),
        body=f"    {call.function}({arguments});\n",
        inputs=case.inputs,
        output_shape=call.output.shape,
        output_dtype=call.output.dtype,
        scratch_bytes=call.scratch_bytes,
    )
