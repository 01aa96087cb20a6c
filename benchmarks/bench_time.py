"""Seconds of `tinyedge bench --target emulator`, beside those of an earlier revision on the same machine.

    python benchmarks/bench_time.py ic_resnet8_int8.tflite [--before b0745cf] [--repetitions 3]

The earlier revision is checked out into a temporary folder and runs with the same Python and packages. The two take
turns, since a machine's speed drifts; the table has the medians. Both have to give the same output bytes and the same
arena, and instructions to within a tick of the board's timer, or nothing is written. CPU seconds include compilers and
QEMU.
Writes benchmarks/results/bench_time.json (--json).
"""

import argparse
import json
import os
import platform
import resource
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
RESULTS = ROOT / "benchmarks" / "results" / "bench_time.json"
INSTRUCTIONS_PER_TICK = 10


def children_cpu_s() -> float:
    """CPU seconds of all processes that have ended below this one."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def bench(checkout: Path, model: Path, board: str, inputs: int) -> dict[str, Any]:
    """Run the command of a checkout; return its seconds and what it found."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "report.json"
        command = [sys.executable, "-m", "tinyedge", "bench", str(model), "--target", "emulator", "--board", board]
        command += ["--inputs", str(inputs), "--json", str(record)]
        environment = {**os.environ, "PYTHONPATH": str(checkout)}
        started_s, cpu_s = time.perf_counter(), children_cpu_s()
        subprocess.run(command, env=environment, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        seconds = {"wall_s": time.perf_counter() - started_s, "cpu_s": children_cpu_s() - cpu_s}
        (result,) = json.loads(record.read_text())["results"]
    return {**seconds, "result": result}


def same(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Whether two results are of the same bits, arena and instructions."""
    keys = ("outputs_sha256", "bit_exact", "arena_bytes", "stack_used_bytes")
    close = abs(before["instructions"] - after["instructions"]) <= INSTRUCTIONS_PER_TICK
    return close and all(before[key] == after[key] for key in keys)


def main() -> None:
    """Measure both in turns, print the table and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a full-INT8 .tflite file")
    parser.add_argument("--before", default="b0745cf", help="the earlier revision")
    parser.add_argument("--board", default="stm32f405")
    parser.add_argument("--inputs", type=int, default=20)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--json", type=Path, default=RESULTS)
    options = parser.parse_args()
    model = options.model.resolve()
    runs: dict[str, list[dict[str, Any]]] = {"before": [], "after": []}
    with tempfile.TemporaryDirectory(prefix="tinyedge-before-") as folder:
        earlier = Path(folder) / "checkout"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(earlier), options.before], check=True)
        try:
            for _ in range(options.repetitions):
                for name, checkout in (("before", earlier), ("after", ROOT)):
                    runs[name].append(bench(checkout, model, options.board, options.inputs))
        finally:
            subprocess.run([*git, "remove", "--force", str(earlier)], check=True)
    results = [run["result"] for name in runs for run in runs[name]]
    if not all(same(results[0], result) for result in results):
        sys.exit("the two revisions give other results: their seconds say nothing")
    medians = {
        name: {key: round(statistics.median(run[key] for run in several), 2) for key in ("wall_s", "cpu_s")}
        for name, several in runs.items()
    }
    ratio = {key: round(medians["after"][key] / medians["before"][key], 3) for key in ("wall_s", "cpu_s")}
    table = Table("tinyedge bench --target emulator", "wall s", "CPU s")
    for name, seconds in (*medians.items(), ("ratio", ratio)):
        table.add_row(options.before if name == "before" else name, f"{seconds['wall_s']}", f"{seconds['cpu_s']}")
    Console().print(table)
    record = {
        "model": model.name,
        "before": options.before,
        "board": options.board,
        "inputs": options.inputs,
        "repetitions": options.repetitions,
        "cores": os.cpu_count(),
        "processor": platform.processor() or platform.machine(),
        "seconds": medians,
        "ratio": ratio,
        "result": {key: results[0][key] for key in ("outputs_sha256", "bit_exact", "instructions", "arena_bytes")},
    }
    write_json(options.json, record)


if __name__ == "__main__":
    main()
