"""Instructions, memory and bit-exactness of INT8 models on emulated boards.

    python benchmarks/emulator_table.py MODEL.tflite ... [--boards mps2_an386 stm32f405] [--inputs 20]

Prints a Markdown table and writes benchmarks/results/emulator.json.
"""

import argparse
from pathlib import Path

from tinyedge.atomic import write_json
from tinyedge.bench.bench import run_bench
from tinyedge.errors import BudgetExceeded

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Measure every model on every board."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--boards", nargs="+", default=["mps2_an386", "mps2_an500", "mps3_an547", "stm32f405"])
    parser.add_argument("--inputs", type=int, default=20)
    options = parser.parse_args()

    reports = []
    print("| model | board | MACs | instructions | a MAC | arena B | RAM B | flash B | bit-exact with TFLite Micro |")
    print("|---|---|---|---|---|---|---|---|---|")
    for model in options.models:
        for board in options.boards:
            try:
                report, _ = run_bench(model, target="emulator", board_name=board, inputs=options.inputs)
            except BudgetExceeded as error:
                print(f"| {model} | {board} | does not fit: {error} | | | | | | |")
                continue
            (record,) = report.results
            assert record.instructions is not None
            print(
                f"| {model} | {board} | {report.model.macs:,} | {record.instructions:,} "
                f"| {record.instructions / report.model.macs:.2f} | {record.arena_bytes:,} | {record.ram_bytes:,} "
                f"| {record.flash_bytes:,} | {str(record.bit_exact).lower()}, {record.inputs} inputs |",
                flush=True,
            )
            reports.append(report.to_json())
    write_json(RESULTS / "emulator.json", {"schema": 1, "reports": reports})
    print(f"wrote {RESULTS / 'emulator.json'}")


if __name__ == "__main__":
    main()
