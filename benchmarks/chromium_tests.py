"""What the tests do in a real browser, as pytest collects them.

    python benchmarks/chromium_tests.py

A test counts where it, or a fixture that it asks for, starts Chromium; its name says what holds. Nothing is run here.

Prints Markdown and writes benchmarks/results/chromium_tests.json; benchmarks/result_tables.py puts it into docs/web.md.
"""

import argparse
import contextlib
import inspect
import io
from pathlib import Path
from typing import Any

import pytest

from tinyedge.atomic import write_json

RESULTS = Path(__file__).parent / "results" / "chromium_tests.json"
_TESTS = Path(__file__).resolve().parents[1] / "tests"
_PLACES = ("browser", "reports/test_reports_chromium.py", "test_docs_site.py")
_FIXTURES = {"chromium", "kernels"}


class _Collected:
    def __init__(self) -> None:
        self.items: list[pytest.Function] = []

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Take what was collected, before anything is left out of it."""
        self.items = [item for item in items if isinstance(item, pytest.Function)]


def collect() -> list[dict[str, Any]]:
    """Return a row a test, in order."""
    collected = _Collected()
    with contextlib.redirect_stdout(io.StringIO()):
        ended = pytest.main(
            ["--collect-only", "-q", "-p", "no:cacheprovider", *(str(_TESTS / place) for place in _PLACES)],
            plugins=[collected],
        )
    if ended != pytest.ExitCode.OK:
        raise SystemExit(f"pytest collects nothing: {ended!r}")
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for item in sorted(collected.items, key=lambda item: item.path):
        if not _FIXTURES & set(item.fixturenames) and "hromium" not in inspect.getsource(item.function):
            continue
        file = item.path.relative_to(_TESTS).as_posix()
        name = item.originalname
        row = rows.setdefault((file, name), {"file": file, "test": name, "cases": 0})
        row["cases"] += 1
    return list(rows.values())


def markdown(report: dict[str, Any]) -> str:
    """Return the Markdown of a report."""
    rows = report["tests"]
    lines = ["| in `tests` | what holds | cases |", "|---|---|---:|"]
    file = ""
    for row in rows:
        shown = "" if row["file"] == file else f"`{row['file']}`"
        lines.append(f"| {shown} | {row['test'].removeprefix('test_').replace('_', ' ')} | {row['cases']} |")
        file = row["file"]
    return "\n".join([*lines, "", f"{len(rows)} tests, {sum(row['cases'] for row in rows)} cases."])


def main() -> None:
    """Collect, print, write."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    report = {"tests": collect()}
    write_json(RESULTS, report)
    print(markdown(report))


if __name__ == "__main__":
    main()
