"""Calls of kernels on an emulated board beside their references, and what they break of the procedure call standard."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from machines.case_machines import PROGRAM, WARNINGS, EmulatedMachine, ProgramStoppedError

from tinyedge.cycles.count import CycleCount, cycle_counter
from tinyedge.cycles.model import CycleModel

CHECK_PROGRAM = PROGRAM.parent / "check_program"

KINDS = ("bytes", "memory", "registers", "stack")
"""What a fault is about, one column of the table each."""

# The bits of check_program.h.
_FAULTS = (
    ("bytes", "wrong bytes"),
    ("memory", "writes outside its buffers"),
    ("memory", "changes an input"),
    ("registers", "does not keep r"),
    ("registers", "does not keep d"),
    ("registers", "changes modes of FPSCR"),
    ("registers", "leaves a predicated block open"),
    ("registers", "moves the stack pointer"),
    ("stack", "writes above its stack"),
    ("stack", "uses the whole stack"),
)
_REGISTERS = (*(f"r{number}" for number in range(4, 12)), *(f"d{number}" for number in range(8, 16)))
_RESULT = np.dtype([("faults", "<u4"), ("registers", "<u4"), ("first_wrong", "<u4"), ("stack_bytes", "<u4")])


@dataclass(frozen=True)
class CheckedCall:
    """A call `function(params, inputs..., output, scratch, states...)`.

    Attributes:
        function: In C.
        params: A C expression of a pointer.
        inputs: Which of the case's inputs each one is.
        scratch_bytes: 0 passes a null pointer.
    """

    function: str
    params: str
    inputs: tuple[int, ...]
    scratch_bytes: int = 0


@dataclass(frozen=True, eq=False)
class CheckedCase:
    """A kernel and its reference on the same values.

    Attributes:
        label: Says which case it is.
        declarations: C that the calls' parameters are made of.
        inputs: (runs, ...) What they are given.
        states: (runs, ...) What they change.
        output_bytes: What they write in a run.
        skew_bytes: How far activations begin behind a multiple of 16 bytes.
        reference: Whose output is right.
        fast: What is checked.
        overlaps: (input, bytes) The kernel may write its output that far below that input.
    """

    label: str
    declarations: str
    inputs: Sequence[np.ndarray]
    states: Sequence[np.ndarray]
    output_bytes: int
    skew_bytes: int
    reference: CheckedCall
    fast: CheckedCall
    overlaps: Sequence[tuple[int, int]] = ()

    @property
    def runs(self) -> int:
        """How often it runs, each time with other values."""
        return len(self.inputs[0])

    @property
    def source_bytes(self) -> int:
        """Of inputs and states, in a run."""
        return sum(values[0].nbytes for values in (*self.inputs, *self.states))

    @property
    def expected_bytes(self) -> int:
        """Of output and states, in a run."""
        return self.output_bytes + sum(values[0].nbytes for values in self.states)


@dataclass(frozen=True)
class Fault:
    """What a call should not have done.

    Attributes:
        kind: One of `KINDS`.
        text: In words.
    """

    kind: str
    text: str


@dataclass(frozen=True)
class CallOutcome:
    """What a call did in all runs.

    Attributes:
        faults: None where all is well.
        stack_bytes: The most that it wrote below its arguments.
        count: Executed instructions and modelled cycles of the first run; None where nothing counts.
    """

    faults: tuple[Fault, ...]
    stack_bytes: int
    count: CycleCount | None


@dataclass(frozen=True)
class CaseOutcome:
    """What the calls of a case did; `overlapped` is the kernel's with its output over an input."""

    reference: CallOutcome
    fast: CallOutcome
    overlapped: tuple[CallOutcome, ...]

    @property
    def faults(self) -> list[Fault]:
        """Of all calls, each named."""
        named = [("reference", self.reference), ("kernel", self.fast), *(("over input", o) for o in self.overlapped)]
        return [Fault(fault.kind, f"{name}: {fault.text}") for name, call in named for fault in call.faults]


def run_checks(
    cases: Sequence[CheckedCase],
    headers: Iterable[str],
    machine: EmulatedMachine,
    objects: Iterable[Path],
    folder: Path,
    model: CycleModel | None = None,
) -> list[CaseOutcome]:
    """Build one program of all cases, `folder`/cases.elf, and run it.

    Args:
        cases: In order.
        headers: That declare the functions.
        machine: The board.
        objects: That hold them.
        folder: Receives the program and its files.
        model: Of the cycles to count; None counts nothing.

    Raises:
        AssertionError: The program stopped at a case; the message names it.
    """
    table = folder / "check_table.c"
    table.write_text(_table(cases, headers))
    (folder / "cases.in").write_bytes(
        b"".join(
            values[run].tobytes()
            for case in cases
            for run in range(case.runs)
            for values in (*case.inputs, *case.states)
        )
    )
    written = folder / "cases.out"
    written.write_bytes(b"")
    parts = list(_program(cases, machine, table, folder))
    elf = machine.link([*parts, *objects], folder)
    counter = None
    if model is not None:
        counter = cycle_counter(model, elf, machine.board.flash, folder / "cycles", layers=True)
    try:
        machine.emulate(elf, "" if counter is None else counter.plugin)
    except ProgramStoppedError as stop:
        raise AssertionError(f"{_label_at(cases, written.stat().st_size)}: {stop}") from stop
    results = np.frombuffer(written.read_bytes(), _RESULT)
    counts = [None] * len(results) if counter is None else _counts(counter.laps())
    assert len(results) == len(counts) == sum(case.runs * _calls(case) for case in cases)
    outcomes = []
    first = 0
    for case in cases:
        calls, end = _calls(case), first + case.runs * _calls(case)
        own = [_outcome(results[at:end:calls], counts[at]) for at in range(first, first + calls)]
        outcomes.append(CaseOutcome(own[0], own[1], tuple(own[2:])))
        first = end
    return outcomes


def _program(cases: Sequence[CheckedCase], machine: EmulatedMachine, table: Path, folder: Path) -> Iterator[Path]:
    heap_bytes = max(
        case.source_bytes
        + max([case.output_bytes, *(case.output_bytes + lead for _, lead in case.overlaps)])
        + max(case.reference.scratch_bytes, case.fast.scratch_bytes)
        for case in cases
    )
    sizes = [
        f"-DCHECK_HEAP_BYTES={heap_bytes}u",
        f"-DCHECK_SOURCE_BYTES={max(case.source_bytes for case in cases)}u",
        f"-DCHECK_EXPECTED_BYTES={max(case.expected_bytes for case in cases)}u",
    ]
    include = f"-I{CHECK_PROGRAM}"
    yield machine.compile(CHECK_PROGRAM / "check_enter.S", folder / "check_enter.o")
    yield machine.compile(CHECK_PROGRAM / "check_program.c", folder / "check_program.o", [*WARNINGS, *sizes])
    yield machine.compile(table, folder / "check_table.o", [include])


def _calls(case: CheckedCase) -> int:
    """Of a run."""
    return 2 + len(case.overlaps)


def _counts(laps: Sequence[CycleCount]) -> list[CycleCount]:
    """Of each call, less what an empty one takes; every other lap is of what happens between calls."""
    empty, *calls = laps[1::2]
    return [
        CycleCount(
            lap.cycles - empty.cycles,
            lap.flash_wait_cycles - empty.flash_wait_cycles,
            lap.instructions - empty.instructions,
        )
        for lap in calls
    ]


def _outcome(results: np.ndarray, count: CycleCount | None) -> CallOutcome:
    """Of a call's results in all runs."""
    bits, registers = (np.bitwise_or.reduce(results[name]) for name in ("faults", "registers"))
    wrong = results["first_wrong"][results["faults"] & 1 == 1]
    faults = []
    for bit, (kind, text) in enumerate(_FAULTS):
        if not bits >> bit & 1:
            continue
        if kind == "bytes":
            text = f"{text} from {wrong[0]} on in {wrong.size} of {results.size} runs"
        lost = [name for at, name in enumerate(_REGISTERS) if registers >> at & 1 and name[0] == text[-1]]
        if text.startswith("does not keep"):
            text = f"{text[:-1]}{', '.join(lost)}"
        faults.append(Fault(kind, text))
    return CallOutcome(tuple(faults), int(results["stack_bytes"].max()), count)


def _label_at(cases: Sequence[CheckedCase], written_bytes: int) -> str:
    """The case during which the program stopped."""
    for case in cases:
        written_bytes -= case.runs * _calls(case) * _RESULT.itemsize
        if written_bytes < 0:
            return case.label
    return "after the last case"


def _table(cases: Sequence[CheckedCase], headers: Iterable[str]) -> str:
    includes = "".join(f'#include "{header}"\n' for header in ("check_program.h", *headers))
    rows = []
    for case in cases:
        numbers = [
            str(case.runs),
            str(len(case.inputs)),
            _braces(values[0].nbytes for values in case.inputs),
            str(len(case.states)),
            _braces(values[0].nbytes for values in case.states),
            str(case.output_bytes),
            str(case.skew_bytes),
            _call(case.reference),
            _call(case.fast),
            str(len(case.overlaps)),
            _braces(_braces(overlap) for overlap in case.overlaps),
        ]
        rows.append(f"    {{{', '.join(numbers)}}},\n")
    return "".join(
        [
            f"{includes}\n",
            *(case.declarations for case in cases),
            "const check_case check_cases[] = {\n",
            *rows,
            f"}};\nconst int32_t check_case_count = {len(cases)};\n",
        ]
    )


def _call(call: CheckedCall) -> str:
    function = f"(void (*)(void)){call.function}"
    return f"{{{function}, {call.params}, {len(call.inputs)}, {_braces(call.inputs)}, {call.scratch_bytes}}}"


def _braces(values: Iterable[object]) -> str:
    """An initialiser; C99 has no empty one."""
    return f"{{{', '.join(map(str, values)) or '0'}}}"
