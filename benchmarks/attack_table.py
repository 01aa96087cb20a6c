"""Runs the tests behind each row of docs/reliability.md and writes how often each attack was tried and what survived.

    python benchmarks/attack_table.py [--fuzz-seconds 600] [--only "mutated weights"]

A test counts as one try, or as many as it says in the property `tries`; all of a test that fails count as lost, and one
that is skipped has tried nothing.
"""

import argparse
import re
import shlex
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import NamedTuple

import pytest

from tinyedge.atomic import write_text

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reliability.md"
_ROW = re.compile(r"^\| (?P<said>[^|]+ \| [^|]+) \| (?P<tests>`tests/[^|]+`) \|[^\n]*$", re.MULTILINE)
_SELECTION = re.compile(r"`([^`]+)`")


class Tally(NamedTuple):
    """How often an attack was tried, and how many of the tries ended as the page says."""

    tries: int
    survived: int


def tally(report: Path) -> Tally:
    """Count the tries of a JUnit report."""
    tries = survived = 0
    for case in ElementTree.parse(report).iter("testcase"):
        if case.find("skipped") is not None:
            continue
        said = [int(entry.get("value", "")) for entry in case.iter("property") if entry.get("name") == "tries"]
        count = sum(said) or 1
        tries += count
        survived += count if case.find("failure") is None and case.find("error") is None else 0
    return Tally(tries, survived)


def run(selections: list[str], fuzz_seconds: float | None) -> Tally:
    """Run the tests that some words for pytest select, and count their tries.

    Raises:
        SystemExit: They select none, or pytest itself ended.
    """
    longer = [] if fuzz_seconds is None else ["--fuzz-seconds", str(fuzz_seconds), "--timeout", "0"]
    tallies = []
    with tempfile.TemporaryDirectory() as folder:
        for index, selection in enumerate(selections):
            report = Path(folder) / f"{index}.xml"
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *longer, f"--junitxml={report}"]
            done = subprocess.run([*command, *shlex.split(selection)], cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
            if done.returncode not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
                raise SystemExit(f"pytest {selection} ended with {done.returncode}: nothing was counted")
            tallies.append(tally(report))
    return Tally(sum(one.tries for one in tallies), sum(one.survived for one in tallies))


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fuzz-seconds", type=float, help="how long each fuzzer runs; by default as in the tests")
    parser.add_argument("--only", default="", help="rows in which this stands; the others keep their figures")
    options = parser.parse_args()
    lost = 0

    def counted(row: re.Match[str]) -> str:
        nonlocal lost
        if options.only not in row["said"]:
            return row[0]
        found = run(_SELECTION.findall(row["tests"]), options.fuzz_seconds)
        lost += found.tries - found.survived
        line = f"| {row['said']} | {row['tests']} | {found.tries:,} | {found.survived:,} |"
        print(line, flush=True)
        return line

    text = PAGE.read_text(encoding="utf-8")
    write_text(PAGE, _ROW.sub(counted, text))
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
