"""TinyNeXt-T with each activation of its MLPs, from training to an emulated board.

    python benchmarks/activation_table.py [--acts relu gelu silu hard_swish] [--epochs 3]

Each is pretrained on the digits, probed, exported in INT8 and run on the emulated stm32f405, where every output byte is
compared with TFLite Micro's. Prints Markdown and writes benchmarks/results/activation_table.json.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from tinyedge.atomic import write_json
from tinyedge.benchmark.bench import run_bench
from tinyedge.errors import GateFailed
from tinyedge.evaluation.probe import probe_run
from tinyedge.exporter.export import export_run
from tinyedge.exporter.options import ExportOptions
from tinyedge.manifest.model_path import resolve_model
from tinyedge.tflite.reader import read_tflite
from tinyedge.training.config import TrainConfig
from tinyedge.training.train import train

RESULTS = Path(__file__).parent / "results" / "activation_table.json"
BOARD = "stm32f405"
MOVES = ("CAST", "ADD", "GATHER", "LOGISTIC", "MUL", "HARD_SWISH")


def measure(act: str, epochs: int, folder: Path) -> dict[str, Any]:
    """Take one activation the whole way."""
    config = TrainConfig(
        method="s0-plus", data="digits", image_size=32, strides=(2, 1, 2, 2, 2), epochs=epochs, act=act, seed=0
    )
    run = train(config, folder / act)
    probe_run(run)
    try:
        export_run(run, ExportOptions())
    except GateFailed as error:  # The accuracy is in the row.
        print(error, flush=True)
    model = resolve_model(run.path)
    operators = read_tflite(model).histogram()
    report, _ = run_bench(run.path, target="emulator", board_name=BOARD, accuracy_images=0)
    (record,) = report.results
    return {
        "act": act,
        "epochs": epochs,
        "operators": {op: operators[op] for op in MOVES if op in operators},
        "bytes": model.stat().st_size,
        "instructions": record.instructions,
        "inputs": record.inputs,
        "bit_exact": record.bit_exact,
        "board": BOARD,
    }


def main() -> None:
    """Measure every activation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--acts", nargs="+", default=["relu", "gelu", "silu", "hard_swish"])
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()

    rows = []
    print("| MLPs | operators of lookups and gates in the file | bytes | instructions | bit-exact with TFLite Micro |")
    print("|---|---|---|---|---|")
    for act in options.acts:
        with tempfile.TemporaryDirectory() as folder:
            row = measure(act, options.epochs, Path(folder))
        operators = ", ".join(f"{count} {op}" for op, count in row["operators"].items())
        print(
            f"| {act} | {operators} | {row['bytes']:,} | {row['instructions']:,} "
            f"| {str(row['bit_exact']).lower()}, {row['inputs']} inputs |",
            flush=True,
        )
        rows.append(row)
    write_json(RESULTS, {"schema": 1, "rows": rows})
    print(f"wrote {RESULTS}")


if __name__ == "__main__":
    main()
