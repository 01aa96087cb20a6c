"""TFLite Micro on the host = our C on the host = our C on the emulated board, byte for byte, for every zoo model.

    python benchmarks/golden_chain.py models/NAME ... --data FOLDER [--board stm32f405] [--real 1000] [--random 1000]

FOLDER is the data set that the models were trained on; `--real` of its test images, going round the classes, and
`--random` inputs uniform over int8 go through all three. The board's share takes a second or so an input.

Prints a Markdown table and writes benchmarks/results/golden_chain.json, where other models' chains stay. Exits with 1
if a byte differs.
"""

import argparse
import hashlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tinyedge.atomic import write_json
from tinyedge.benchmark.bench import run_bench
from tinyedge.benchmark.inputs import first_per_class_round
from tinyedge.manifest.manifest import read_manifest
from tinyedge.manifest.preprocess import quantise_images
from tinyedge.runtimes.aot import AotRuntime
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.tflite.frames import random_frames
from tinyedge.tflite.reader import read_tflite
from tinyedge.training.run import load_run

RESULTS = Path(__file__).parent / "results" / "golden_chain.json"
MODEL_FILE = "model_int8.tflite"


def inputs_of(folder: Path, data: str, real: int, random: int) -> dict[str, np.ndarray]:
    """Return the inputs of a zoo model by kind, (n, H, W, 3) int8."""
    test = load_run(folder, data).load_dataset().test
    assert test is not None
    assert test.labels is not None
    chosen = first_per_class_round(test.labels.numpy(), real)
    return {
        "real": quantise_images(test.images[chosen].numpy(), read_manifest(folder)),
        "random": random_frames(read_tflite(folder / MODEL_FILE).inputs, random, seed=0),
    }


def on_board(model: Path, board: str, inputs: np.ndarray) -> np.ndarray:
    """Return the emulated board's outputs, (n, K) int8."""
    with tempfile.TemporaryDirectory() as name:
        values, answers = Path(name) / "inputs.npy", Path(name) / "outputs.npy"
        np.save(values, inputs)
        run_bench(model, target="emulator", board_name=board, input_path=values, outputs_path=answers)
        outputs: np.ndarray = np.load(answers)
    return outputs


def links_of(folder: Path, kind: str, inputs: np.ndarray, board: str) -> dict[str, Any]:
    """Run one kind of inputs through the whole chain."""
    model = folder / MODEL_FILE
    golden = TflmRuntime(model).run(inputs)
    host = AotRuntime(model).run(inputs)
    emulated = on_board(model, board, inputs)
    return {
        "model": folder.name,
        "sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "inputs": kind,
        "count": len(inputs),
        "board": board,
        "bytes": int(golden.size),
        "host_differing": int((host != golden).sum()),
        "board_differing": int((emulated != golden).sum()),
        "outputs_sha256": hashlib.sha256(golden.tobytes()).hexdigest(),
    }


def main() -> int:
    """Check every model; return 1 if any byte differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--board", default="stm32f405")
    parser.add_argument("--real", type=int, default=1000)
    parser.add_argument("--random", type=int, default=1000)
    options = parser.parse_args()

    print("| model | inputs | output bytes | our C on the host differs in | our C on the emulated board differs in |")
    print("|---|---|---|---|---|")
    chains: list[dict[str, Any]] = json.loads(RESULTS.read_text())["chains"] if RESULTS.is_file() else []
    differs = False
    for folder in options.models:
        for kind, inputs in inputs_of(folder, options.data, options.real, options.random).items():
            chain = links_of(folder, kind, inputs, options.board)
            chains = [old for old in chains if (old["model"], old["inputs"]) != (folder.name, kind)] + [chain]
            write_json(RESULTS, {"schema": 1, "chains": chains})
            differs |= bool(chain["host_differing"] or chain["board_differing"])
            print(
                f"| {chain['model']} | {chain['count']} {kind} | {chain['bytes']:,} | {chain['host_differing']} "
                f"| {chain['board_differing']} ({chain['board']}) |",
                flush=True,
            )
    print(f"wrote {RESULTS}")
    return int(differs)


if __name__ == "__main__":
    sys.exit(main())
