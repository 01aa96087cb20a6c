"""The counts of docs/reliability.md: what passes, fails, is skipped, and what one test tries many times."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SUITE = """
import pytest

def test_passes(): pass
def test_is_many(record_property): record_property("tries", 40)
def test_fails(): assert False
def test_many_fail(record_property):
    record_property("tries", 5)
    assert False
def test_is_skipped(): pytest.skip("no tool")
@pytest.fixture
def broken(): raise OSError
def test_cannot_begin(broken): pass
"""


def test_tries_and_survivors_are_counted(benchmark_script, tmp_path):
    (tmp_path / "test_own.py").write_text(SUITE)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=own.xml", "test_own.py"]
    subprocess.run(command, cwd=tmp_path, stdout=subprocess.DEVNULL, check=False)
    table = benchmark_script("attack_table")
    assert table.tally(tmp_path / "own.xml") == table.Tally(tries=1 + 40 + 1 + 5 + 1, survived=41)


def test_a_row_that_selects_nothing_counts_nothing(benchmark_script):
    with pytest.raises(SystemExit, match="-k nothing_is_called_so ended with 5: nothing was counted"):
        benchmark_script("attack_table").run(["tests/test_atomic.py -k nothing_is_called_so"], None)


def test_every_row_of_the_page_is_found_and_names_tests_that_there_are(benchmark_script):
    table = benchmark_script("attack_table")
    text = table.PAGE.read_text()
    rows = list(table._ROW.finditer(text))
    assert len(rows) == len(re.findall(r"^\| (?!attack)", text, re.MULTILINE))
    for row in rows:
        for selection in table._SELECTION.findall(row["tests"]):
            assert (ROOT / selection.split()[0]).exists(), selection
