"""Seconds of `tinyedge export --int8`, beside those of an earlier revision on the same machine.

    python benchmarks/export_time.py models/tinynext_t_cifar10 --data ~/data/cifar10
    python benchmarks/export_time.py RUN --before b0745cf --before-python ~/venv311/bin/python

The earlier revision is checked out into a temporary folder. It runs with the same Python and packages, or with those of
`--before-python`: b0745cf exports through TensorFlow, on Python 3.11 or 3.12 alone. Each export is of a fresh copy of
the run; the two take turns, since a machine's speed drifts, and the table has the medians. The first of each is not
counted: it writes Python's bytecode and the cache of decoded images, as the first export of any user does. CPU
seconds are of the command and all processes below it, compilers and converters among them. Every export of one
revision has to give the same bytes, and INT8 has to keep its gates in both, or nothing is written.
Writes benchmarks/results/export_time.json (--json).
"""

import argparse
import hashlib
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tinyedge.atomic import write_json

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "export_time.json"
SECONDS = ("wall_s", "cpu_s")


def children_cpu_s() -> float:
    """CPU seconds of all processes that have ended below this one."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def export(python: str, checkout: Path, run: Path, data: str | None, calibration: int) -> dict[str, Any]:
    """Export a copy of a run with a checkout's command; return its seconds and what it found."""
    with tempfile.TemporaryDirectory(prefix="tinyedge-export-time-") as folder:
        copy = Path(folder) / run.name
        shutil.copytree(run, copy, ignore=shutil.ignore_patterns("export", "checkpoints"))
        command = [python, "-m", "tinyedge", "export", str(copy), "--int8", "--calibration", str(calibration)]
        command += ["--data", data] if data else []
        environment = {**os.environ, "PYTHONPATH": str(checkout)}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        started_s, cpu_s = time.perf_counter(), children_cpu_s()
        subprocess.run(command, env=environment, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        seconds = {"wall_s": time.perf_counter() - started_s, "cpu_s": children_cpu_s() - cpu_s}
        model = (copy / "export" / "model_int8.tflite").read_bytes()
        manifest = json.loads((copy / "export" / "export.json").read_text())
    parity = manifest["parity"]
    result = {
        "model_sha256": hashlib.sha256(model).hexdigest(),
        "model_bytes": len(model),
        "operators": manifest["operators"],
        "sqnr_db": round(parity["float_int8"]["sqnr_db"], 2),
        "top1": parity["top1"],
        "bit_exact": parity["bit_exact"],
        "versions": {"python": _python_version(python), **manifest["versions"]},
    }
    return {**seconds, "result": result}


def _python_version(python: str) -> str:
    code = "import platform; print(platform.python_version())"
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def main() -> None:
    """Measure both in turns, print the table and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a trained and probed run, or a model of the zoo")
    parser.add_argument("--data", help="the run's data set, where it lies elsewhere on this machine")
    parser.add_argument("--before", default="b0745cf", help="the earlier revision")
    parser.add_argument("--before-python", default=sys.executable, help="the Python that runs it")
    parser.add_argument("--calibration", type=int, default=512)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--json", type=Path, default=RESULTS)
    options = parser.parse_args()
    run = options.run.resolve()
    data = str(Path(options.data).expanduser().resolve()) if options.data else None
    runs: dict[str, list[dict[str, Any]]] = {"before": [], "after": []}
    with tempfile.TemporaryDirectory(prefix="tinyedge-before-") as folder:
        earlier = Path(folder) / "checkout"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(earlier), options.before], check=True)
        try:
            for _ in range(1 + options.repetitions):
                for name, python, checkout in (
                    ("before", options.before_python, earlier),
                    ("after", sys.executable, ROOT),
                ):
                    runs[name].append(export(python, checkout, run, data, options.calibration))
        finally:
            subprocess.run([*git, "remove", "--force", str(earlier)], check=True)
    for several in runs.values():
        if any(measured["result"] != several[0]["result"] for measured in several):
            sys.exit("two exports of one revision differ: the same input has to give the same bytes")
    medians = {
        name: {key: round(statistics.median(measured[key] for measured in several[1:]), 2) for key in SECONDS}
        for name, several in runs.items()
    }
    ratio = {key: round(medians["after"][key] / medians["before"][key], 3) for key in SECONDS}
    table = Table("tinyedge export --int8", "wall s", "CPU s", "INT8 top-1 %", "SQNR dB")
    for name, seconds in medians.items():
        result = runs[name][0]["result"]
        top1 = "" if result["top1"] is None else f"{result['top1']['int8_top1']:.2f}"
        label = options.before if name == "before" else name
        table.add_row(label, f"{seconds['wall_s']}", f"{seconds['cpu_s']}", top1, f"{result['sqnr_db']}")
    table.add_row("ratio", f"{ratio['wall_s']}", f"{ratio['cpu_s']}")
    Console().print(table)
    record = {
        "run": run.name,
        "before": options.before,
        "calibration": options.calibration,
        "repetitions": options.repetitions,
        "cores": os.cpu_count(),
        "processor": platform.processor() or platform.machine(),
        "seconds": medians,
        "ratio": ratio,
        "results": {name: several[0]["result"] for name, several in runs.items()},
    }
    write_json(options.json, record)


if __name__ == "__main__":
    main()
