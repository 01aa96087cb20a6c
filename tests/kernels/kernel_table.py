"""Runs the rows of the table on an emulated board and sums up what each kernel did."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from kernels.kernel_checks import CallOutcome, CaseOutcome, Fault, run_checks
from kernels.kernel_rows import Row, RowCase, row_cases
from machines.case_machines import CALL_GRAPH, WARNINGS, EmulatedMachine

from tinyedge.boards.board import load_board
from tinyedge.compiler.emit.kernel_sources import sources_of
from tinyedge.cycles.model import NOT_CHECKED, CycleModel, cycle_model
from tinyedge.errors import ConfigError
from tinyedge.firmware.stack import StackReport, function_stacks
from tinyedge.toolchain import find_tool


@dataclass(frozen=True)
class Cost:
    """Sums over a row's cases.

    Attributes:
        instructions: Executed.
        cycles: Modelled; None where there is no model of the core.
    """

    instructions: int
    cycles: int | None


@dataclass(frozen=True)
class KernelResult:
    """What a kernel did in all its cases.

    Attributes:
        row: Which one.
        sizes: The inputs' shapes in the smallest and in the largest case: "1x2x2x4 ... 1x5x7x44".
        cases: How many, and as many more of its output over its inputs as it allows.
        faults: None where all is well.
        stack_bytes: The most that it wrote.
        stack_bound_bytes: What `tinyedge compile --board` counts for it; None where that is not known.
        cost: None where nothing counts.
        reference_cost: The same of the reference.
    """

    row: Row
    sizes: str
    cases: int
    faults: tuple[Fault, ...]
    stack_bytes: int
    stack_bound_bytes: int | None
    cost: Cost | None
    reference_cost: Cost | None


def check_rows(
    rows: Sequence[Row],
    machine: EmulatedMachine,
    count: int,
    most_work: int,
    rng: np.random.Generator,
    folder: Path,
    model: CycleModel | None = None,
    flags: Sequence[str] = (),
) -> list[KernelResult]:
    """Run so many cases of each row in one program, and hold what they wrote of the stack against its bound.

    Args:
        rows: The kernels.
        machine: The board.
        count: Cases of each.
        most_work: As for `row_cases`.
        rng: Draws the cases.
        folder: Receives what is made.
        model: As for `run_checks`.
        flags: Of the compiler, for the kernels.
    """
    cases = row_cases(rows, count, most_work, rng, folder)
    objects = _compiled(cases, machine, folder, flags)
    outcomes = run_checks([case.checked for case in cases], ["te_kernels.h"], machine, objects, folder, model)
    gcc = find_tool("arm-none-eabi-gcc").path
    called = sorted({call.function for case in cases for call in (case.fast, case.portable)})
    bounds = function_stacks(folder, folder / "cases.elf", gcc, called)
    results = []
    for row in rows:
        own = [(case, outcome) for case, outcome in zip(cases, outcomes, strict=True) if case.row is row]
        results.append(
            _result(row, machine, own, bounds, has_cycles=model is not None and model.core == machine.board.cpu)
        )
    return results


def counting_model(machine: EmulatedMachine, board_name: str = "") -> CycleModel:
    """How to count: the model of the machine's board or of another, or instructions alone where its core has none."""
    try:
        return cycle_model(load_board(board_name or machine.board_name))
    except ConfigError:
        return CycleModel("cortex-m4", 0, "", NOT_CHECKED, {"core": "cortex-m4", "wait_states": 0, "read_bytes": 4})


def _compiled(cases: Sequence[RowCase], machine: EmulatedMachine, folder: Path, flags: Sequence[str]) -> list[Path]:
    """All kernels that the cases call, with their call graphs, where `function_stacks` looks for those of a model."""
    objects = folder / "CMakeFiles" / "te_model.dir"
    objects.mkdir(parents=True)
    names = {name for case in cases for name in case.functions}
    return [
        machine.compile(source, objects / f"{source.name}.obj", (*WARNINGS, CALL_GRAPH, "-g0", *flags))
        for source in sources_of(sorted(names))
        if source.suffix == ".c"
    ]


def _result(
    row: Row,
    machine: EmulatedMachine,
    own: Sequence[tuple[RowCase, CaseOutcome]],
    bounds: dict[str, StackReport],
    *,
    has_cycles: bool,
) -> KernelResult:
    faults = []
    for case, outcome in own:
        found = [*outcome.faults, *_stack_faults(case, outcome, bounds)]
        faults += [Fault(fault.kind, f"{case.checked.label} on {machine.name}: {fault.text}") for fault in found]
    return KernelResult(
        row=row,
        sizes=_sizes([case for case, _ in own]),
        cases=len(own),
        faults=tuple(faults),
        stack_bytes=max(call.stack_bytes for _, outcome in own for call in (outcome.fast, *outcome.overlapped)),
        stack_bound_bytes=bounds[row.kernel].worst_case_bytes,
        cost=_cost([outcome.fast for _, outcome in own], has_cycles=has_cycles),
        reference_cost=_cost([outcome.reference for _, outcome in own], has_cycles=has_cycles),
    )


def _stack_faults(case: RowCase, outcome: CaseOutcome, bounds: dict[str, StackReport]) -> Iterator[Fault]:
    calls = [(case.portable.function, outcome.reference)]
    calls += [(case.fast.function, call) for call in (outcome.fast, *outcome.overlapped)]
    for function, call in calls:
        bound = bounds[function]
        if bound.worst_case_bytes is None:
            yield Fault("stack", f"{function} has a stack that is not known: {bound.unknown}")
        elif call.stack_bytes > bound.worst_case_bytes:
            yield Fault(
                "stack", f"{function} took {call.stack_bytes} bytes of stack, and {bound.worst_case_bytes} are counted"
            )


def _sizes(cases: Sequence[RowCase]) -> str:
    ends = min(cases, key=_work), max(cases, key=_work)
    return " ... ".join("x".join(map(str, case.portable.inputs[0].shape)) for case in ends)


def _work(case: RowCase) -> int:
    return max(case.portable.macs, case.portable.output.elements)


def _cost(calls: Sequence[CallOutcome], *, has_cycles: bool) -> Cost | None:
    counts = [call.count for call in calls if call.count is not None]
    if len(counts) < len(calls):
        return None
    cycles = sum(count.cycles for count in counts) if has_cycles else None
    return Cost(sum(count.instructions for count in counts), cycles)
