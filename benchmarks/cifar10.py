"""The whole way on CIFAR-10: random and pretrained encoder, probes, INT8, an emulated board.

    python benchmarks/cifar10.py --data FOLDER --epochs 8 --out runs/cifar10

FOLDER holds train/CLASS/*.jpg and test/CLASS/*.jpg. Stop it at any time: the next call goes on. Each step is
one command of `tinyedge`, printed before it runs. Writes benchmarks/results/cifar10.json.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tinyedge.atomic import write_json
from tinyedge.training.run import load_run

RESULTS = Path(__file__).parent / "results"
STRIDES = {"tinynext_t": "2,1,2,2,2", "mobilenetv2_035": "1,1,1,2,2,1,2,1"}


def run(*arguments: object) -> float:
    """Run one `tinyedge` command and return its seconds."""
    command = [str(argument) for argument in arguments]
    print("$ tinyedge " + " ".join(command), flush=True)
    start = time.monotonic()
    subprocess.run([sys.executable, "-m", "tinyedge", *command], check=True)
    return time.monotonic() - start


def pretrain(method: str, options: argparse.Namespace, out: Path) -> float:
    """Train, or go on training, into `out`; returns the seconds over all attempts."""
    seconds_file = out.with_suffix(".seconds")
    before = float(seconds_file.read_text()) if seconds_file.exists() else 0.0
    if (out / "encoder.safetensors").exists():
        return before
    arguments: list[object] = ["train", "--method", method, "--encoder", options.encoder, "--data", options.data]
    arguments += ["--strides", STRIDES[options.encoder], "--epochs", options.epochs, "--out", out]
    seconds = before + run(*arguments, *(["--resume"] if out.exists() else []))
    seconds_file.write_text(f"{seconds:.0f}")
    return seconds


def recipe(out: Path) -> dict[str, Any]:
    """Return a run's resolved configuration, without the place of its data."""
    config = load_run(out).config.to_dict()
    return {key: value for key, value in config.items() if key not in ("data", "data_root")}


def probes(out: Path) -> list[dict[str, Any]]:
    """Probe with 20 % and 100 % of the labels, where that is not done, and return the records."""
    path = out / "probe.json"
    records: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
    done = {(record["protocol"], record["label_fraction"]) for record in records}
    # The linear probe with all labels comes last: its classifier is what is exported.
    for protocol, fraction in (("knn", 0.2), ("knn", 1.0), ("linear", 0.2), ("linear", 1.0)):
        if (protocol, fraction) not in done:
            run("probe", out, "--labels", fraction, "--protocol", protocol)
    records = json.loads(path.read_text())
    return records


def bench(out: Path, *arguments: object) -> dict[str, Any]:
    """Bench a run and return the report."""
    command = [sys.executable, "-m", "tinyedge", "bench", str(out), *map(str, arguments), "--json"]
    content: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return content


def main() -> None:
    """Run every step that has not been done, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--encoder", choices=sorted(STRIDES), default="tinynext_t")
    parser.add_argument("--method", default="s0-plus")
    parser.add_argument("--out", type=Path, default=Path("runs/cifar10"))
    options = parser.parse_args()

    random, pretrained = options.out / "random", options.out / options.method
    pretrain("random", options, random)
    seconds = pretrain(options.method, options, pretrained)
    results: dict[str, Any] = {
        "data": "CIFAR-10 (JPEG)",
        "config": recipe(pretrained),
        "train_seconds": round(seconds),
        "device": f"{os.cpu_count()} CPU cores",
        "random": probes(random),
        "pretrained": probes(pretrained),
    }
    run("export", pretrained)
    run("build", pretrained, "--out", pretrained / "firmware")
    results["parity"] = json.loads((pretrained / "export" / "export.json").read_text())["parity"]
    results["host"] = bench(pretrained, "--target", "host", "--runtime", "all")
    results["emulator"] = bench(pretrained, "--target", "emulator", "--board", "stm32f405")
    write_json(RESULTS / f"cifar10_{options.encoder}.json", results)
    print(f"wrote {RESULTS / f'cifar10_{options.encoder}.json'}")


if __name__ == "__main__":
    main()
