"""Nobody runs the scripts of benchmarks/ for months; that they still fit the package is seen at once."""

from pathlib import Path

import pytest

SCRIPTS = sorted(path.stem for path in (Path(__file__).parents[1] / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_script_finds_all_that_it_imports(benchmark_script, name):
    assert benchmark_script(name).__doc__
