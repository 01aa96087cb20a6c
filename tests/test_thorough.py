"""The option --thorough of this suite."""

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

TESTS = """
import pytest

def test_always(thorough):
    print(f"{thorough = }")

@pytest.mark.parametrize("kind", ["one", pytest.param("another", marks=pytest.mark.thorough)])
def test_some(kind):
    pass
"""


@pytest.mark.parametrize(("options", "passed"), [((), 2), (("--thorough",), 3)])
def test_the_option_adds_what_is_marked(pytester, options, passed):
    pytester.makeconftest((Path(__file__).parent / "conftest.py").read_text())
    pytester.makeini("[pytest]\nmarkers = slow\n    thorough\naddopts = --strict-markers")
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_inprocess("-s", *options)
    result.assert_outcomes(passed=passed, deselected=3 - passed)
    assert f"thorough = {bool(options)}" in result.stdout.str()
