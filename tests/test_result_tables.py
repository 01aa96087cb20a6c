"""docs/results.md has the measured figures, and all of them."""


def test_the_page_has_the_tables_of_the_results(benchmark_script):
    tables = benchmark_script("result_tables")
    page = tables.PAGE.read_text(encoding="utf-8")
    assert tables.with_tables(page) == page, "run python benchmarks/result_tables.py"


def test_a_figure_that_was_changed_by_hand_is_seen(benchmark_script):
    tables = benchmark_script("result_tables")
    page = tables.PAGE.read_text(encoding="utf-8")
    assert "| 61.9 ± 0.5 |" in page
    assert tables.with_tables(page.replace("| 61.9 ± 0.5 |", "| 62.9 ± 0.5 |")) == page
