"""Many cases in one C program: each one's inputs go in through a file, and what it gave comes back through another."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from machines.case_machines import KernelBuild, Machine, ProgramStoppedError

_COUNT_BYTES, _VERDICT_BYTES = 8, 1


@dataclass(frozen=True, eq=False)
class CaseEntry:
    """One case as C.

    Attributes:
        label: Says which case it is.
        declarations: What `body` needs at file scope.
        body: Statements that read inputs[0], inputs[1] ... and write output, with scratch to work in; void pointers.
        inputs: (runs, ...) of each input.
        output_shape: Of one run.
        output_dtype: Of its values.
        scratch_bytes: 0 for none.
    """

    label: str
    declarations: str
    body: str
    inputs: Sequence[np.ndarray]
    output_shape: tuple[int, ...]
    output_dtype: Any
    scratch_bytes: int = 0

    @property
    def runs(self) -> int:
        """How many inputs there are."""
        return len(self.inputs[0])

    @property
    def input_bytes(self) -> list[int]:
        """Of one run."""
        return [values[0].nbytes for values in self.inputs]

    @property
    def output_bytes(self) -> int:
        """Of one run."""
        return int(np.prod(self.output_shape)) * np.dtype(self.output_dtype).itemsize


@dataclass(frozen=True, eq=False)
class CaseOutcome:
    """What a case gave.

    Attributes:
        outputs: (runs, *output shape).
        instructions: (runs,), to within a tick of the board's counter; None on a machine that does not count.
    """

    outputs: np.ndarray
    instructions: np.ndarray | None


def run_entries(
    entries: Sequence[CaseEntry], kernels: KernelBuild, folder: Path, objects: Iterable[Path] = ()
) -> list[CaseOutcome]:
    """Build one program of all cases and run it.

    Args:
        entries: The cases, in order.
        kernels: For the machine to run on.
        folder: Receives the program and its files.
        objects: What else the cases call, compiled for this machine.

    Raises:
        AssertionError: The program stopped at a case, or a case wrote past a buffer; the message names it.
    """
    machine = kernels.machine
    source = folder / "case_table.c"
    source.write_text(_table(entries))
    table = machine.compile(source, folder / "case_table.o", machine.caller_flags)
    (folder / "cases.in").write_bytes(
        b"".join(values[run].tobytes() for entry in entries for run in range(entry.runs) for values in entry.inputs)
    )
    got = folder / "cases.out"
    got.write_bytes(b"")
    heap_bytes = max(sum(entry.input_bytes) + entry.output_bytes + entry.scratch_bytes for entry in entries)
    try:
        machine.run([table, *objects, *kernels.linked], folder, heap_bytes)
    except ProgramStoppedError as stop:
        raise AssertionError(f"{_label_at(entries, got.stat().st_size)}: {stop}") from stop
    return _outcomes(entries, got.read_bytes(), machine)


def _record_bytes(entry: CaseEntry) -> int:
    return _COUNT_BYTES + entry.output_bytes + _VERDICT_BYTES


def _label_at(entries: Sequence[CaseEntry], written_bytes: int) -> str:
    """The case during which the program stopped."""
    for entry in entries:
        written_bytes -= entry.runs * _record_bytes(entry)
        if written_bytes < 0:
            return entry.label
    return "after the last case"


def _outcomes(entries: Sequence[CaseEntry], content: bytes, machine: Machine) -> list[CaseOutcome]:
    outcomes = []
    start = 0
    for entry in entries:
        layout = np.dtype([("ticks", "<u8"), ("output", entry.output_dtype, entry.output_shape), ("within", np.uint8)])
        records = np.frombuffer(content, layout, entry.runs, start)
        start += entry.runs * layout.itemsize
        assert records["within"].all(), f"{entry.label}: writes outside its buffers"
        per_tick = machine.instructions_per_tick
        instructions = None if per_tick is None else np.rint(records["ticks"] * float(per_tick)).astype(np.int64)
        outcomes.append(CaseOutcome(records["output"].copy(), instructions))
    assert start == len(content)
    return outcomes


def _table(entries: Sequence[CaseEntry]) -> str:
    parts = ['#include <string.h>\n\n#include "case_program.h"\n#include "te_kernels.h"\n\n']
    rows = []
    for index, entry in enumerate(entries):
        parts.append(entry.declarations)
        parts.append(
            f"static void run_{index}(void *const *inputs, void *output, void *scratch) {{\n"
            f"    (void)inputs;\n    (void)scratch;\n{entry.body}}}\n\n"
        )
        sizes = ", ".join(str(size) for size in entry.input_bytes)
        rows.append(
            f"    {{{entry.runs}, {len(entry.inputs)}, {{{sizes}}}, {entry.output_bytes}, {entry.scratch_bytes}, "
            f"run_{index}}},\n"
        )
    count = f"const int32_t case_entry_count = {len(entries)};\n"
    return "".join([*parts, "const case_entry case_entries[] = {\n", *rows, "};\n", count])
