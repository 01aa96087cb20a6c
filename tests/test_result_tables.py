"""Pages of docs/ have the measured figures, and all of them."""

import pytest


@pytest.mark.parametrize(
    "name", ["cycles.md", "engine.md", "quantisation.md", "recipe.md", "results.md", "web.md", "wild.md"]
)
def test_the_page_has_the_tables_of_the_results(benchmark_script, name):
    script = benchmark_script("result_tables")
    path = script.DOCS / name
    page = path.read_text(encoding="utf-8")
    assert script.with_tables(page, script.PAGES[path]) == page, "run python benchmarks/result_tables.py"


def test_a_figure_that_was_changed_by_hand_is_seen(benchmark_script):
    script = benchmark_script("result_tables")
    path = script.DOCS / "results.md"
    page = path.read_text(encoding="utf-8")
    assert "| 61.9 ± 0.5 |" in page
    assert script.with_tables(page.replace("| 61.9 ± 0.5 |", "| 62.9 ± 0.5 |"), script.PAGES[path]) == page
