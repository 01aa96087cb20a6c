"""What the fuzzers of models share: what they begin with, and runs of many seeds that can be gone on with.

A seed stands for so many mutants, whatever ran before it. Each finished one is a line of JSON in a tally, so that a run
that was stopped goes on behind the last, and the sum over the lines is what was tried.
"""

import json
import random
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus" / "reader"


class FindingError(Exception):
    """A model that must not be treated so; behind the sentence `args` may have the models among which it is."""


def read_corpus() -> list[bytes]:
    """The models to start from."""
    return [path.read_bytes() for path in sorted(CORPUS.iterdir())]


def short_one(rng: random.Random, pool: Sequence[bytes]) -> bytes:
    """One of a pool, rather a short one: it is as strange as a long one, and mutants of it take less time."""
    return min(rng.choices(pool, k=3), key=len)


def run_seeds(run: Callable[[int, Path], dict[str, int]], tally: Path, name: str, most: int) -> int:
    """Run seed after seed until one of their counts has reached a sum.

    Args:
        run: What a seed counts, given a folder for its files.
        tally: Gets a line a finished seed.
        name: Of the count.
        most: Its sum at the end.

    Returns:
        1 if there is a finding, whose models are written to finding_*.tflite, else 0.
    """
    lines = tally.read_text().splitlines() if tally.exists() else []
    with tempfile.TemporaryDirectory() as folder:
        while True:
            counts = [json.loads(line) for line in lines]
            sums = {key: sum(entry[key] for entry in counts) for key in (counts[0] if counts else {}) if key != "seed"}
            print(f"{len(lines)} seeds: {sums}", flush=True)
            if sums.get(name, 0) >= most:
                return 0
            seed = len(lines)
            try:
                lines.append(json.dumps({"seed": seed, **run(seed, Path(folder))}))
            except FindingError as finding:
                for index, content in enumerate(finding.args[1:]):
                    Path(f"finding_{index}.tflite").write_bytes(content)
                print(f"seed {seed}, finding_*.tflite: {finding.args[0]}")
                return 1
            with tally.open("a") as file:
                file.write(f"{lines[-1]}\n")
