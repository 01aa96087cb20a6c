"""What the documentation says that a command prints is what it prints."""

import pytest


@pytest.fixture(scope="module")
def blocks(benchmark_script):
    return benchmark_script("console_blocks")


def test_the_outputs_of_the_documentation_are_those_of_its_commands(blocks):
    pages = [page for page in blocks.PAGES if blocks.has_blocks(page)]
    assert pages
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert blocks.with_outputs(text) == text, f"run python benchmarks/console_blocks.py {page}"


def test_an_output_is_replaced_and_the_rest_stays(blocks):
    page = "before\n\n```console\n$ echo 1; echo 2 >&2\n3\n$ exit 4\n```\n\n```python\n$ no\n```\n"
    assert blocks.with_outputs(page) == page.replace("3\n", "1\n2\n")
