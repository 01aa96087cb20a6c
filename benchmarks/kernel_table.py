"""Every kernel of an instruction set beside its portable reference, on an emulated core that has it.

    python benchmarks/kernel_table.py [--boards mps2_an386 ...] [--only te_conv2d_s8_dsp ...] [--cases 8] [--seed 1]
                                      [--json FILE]

What is run is the table of the tests (tests/kernels/kernel_rows.py): random operators of sizes in steps of primes, for
which each kernel is called as docs/kernels.md says. Instructions are executed ones, and cycles are modelled for the
board's core (docs/cycles.md), where there is a model of it; both are sums over a kernel's cases.

Prints Markdown tables; `--json` writes them. The exit status is 1 where a kernel is not its reference, or breaks what
its caller relies on.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from tinyedge.atomic import write_json

# The kernels' cases and the program that calls them are the tests'.
sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from kernels.kernel_rows import rows_of
from kernels.kernel_table import KernelResult, check_rows, counting_model
from machines.case_machines import EmulatedMachine

BOARDS = ("mps2_an386", "mps2_an385", "mps2_an385_m0plus", "mps3_an547")
_MOST_WORK = 100_000


_COLUMNS = ("kernel", "cases", "inputs from ... to", "bytes equal", "guards", "registers", "stack, counted")
_COSTS = {"instructions": "instructions", "cycles": "modelled cycles"}


def record_of(result: KernelResult, board: str) -> dict[str, Any]:
    """Return a row as JSON has it."""
    return {
        "kernel": result.row.kernel,
        "instruction_set": result.row.instruction_set,
        "board": board,
        "cases": result.cases,
        "sizes": result.sizes,
        "faults": [fault.text for fault in result.faults],
        "stack_bytes": result.stack_bytes,
        "stack_bound_bytes": result.stack_bound_bytes,
        "cost": None if result.cost is None else asdict(result.cost),
        "reference_cost": None if result.reference_cost is None else asdict(result.reference_cost),
    }


def table_of(results: Sequence[KernelResult]) -> Table:
    """Return a board's table, which is Markdown."""
    table = Table(box=box.MARKDOWN)
    pairs = [(result.cost, result.reference_cost) for result in results]
    counted = [name for name in _COSTS if all(cost and getattr(cost, name) for pair in pairs for cost in pair)]
    for column in (*_COLUMNS, *(text for name in counted for text in (_COSTS[name], "reference", "ratio"))):
        table.add_column(column)
    for result, pair in zip(results, pairs, strict=True):
        broken = {fault.kind for fault in result.faults}
        verdicts = ["no" if kind in broken else "yes" for kind in ("bytes", "memory", "registers")]
        bound = "not known" if result.stack_bound_bytes is None else result.stack_bound_bytes
        stack = f"{result.stack_bytes}, {bound}{' !' if 'stack' in broken else ''}"
        costs = [text for name in counted for text in _beside(*(getattr(cost, name) for cost in pair))]
        table.add_row(result.row.kernel, str(result.cases), result.sizes, *verdicts, stack, *costs)
    return table


def _beside(kernel: int, reference: int) -> tuple[str, str, str]:
    return f"{kernel:,}", f"{reference:,}", f"{reference / kernel:.1f}"


def main() -> int:
    """Run the boards' rows and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boards", nargs="+", default=BOARDS)
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--cases", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 240)
    records = []
    for board in arguments.boards:
        machine = EmulatedMachine(board)
        rows = [row for row in rows_of(machine.instruction_set) if row.kernel in arguments.only or not arguments.only]
        if not rows:
            continue
        rng = np.random.default_rng(arguments.seed)
        with tempfile.TemporaryDirectory() as folder:
            results = check_rows(rows, machine, arguments.cases, _MOST_WORK, rng, Path(folder), counting_model(machine))
        console.print(f"{board} ({machine.board.cpu})")
        console.print(table_of(results))
        for fault in (fault for result in results for fault in result.faults):
            console.print(f"[red]{fault.text}")
        records += [record_of(result, board) for result in results]
    if arguments.json:
        write_json(arguments.json, {"seed": arguments.seed, "kernels": records})
    return 1 if any(record["faults"] for record in records) else 0


if __name__ == "__main__":
    sys.exit(main())
