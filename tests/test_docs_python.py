"""The page about the functions, and the example beside it, do what they say."""

import re
import runpy
from pathlib import Path

import pytest
from quantisation.uint8_models import uint8_network

import tinyedge
from tinyedge.errors import ToolMissing
from tinyedge.toolchain import find_build_tools, find_tool

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
FUNCTIONS = [name for name in tinyedge.__all__ if (ROOT / "tinyedge" / "api" / f"{name}.py").is_file()]


def test_every_function_has_a_section_and_a_docstring():
    assert set(FUNCTIONS) <= set(re.findall(r"^## (\w+)$", PAGE, re.MULTILINE))
    for name in FUNCTIONS:
        assert "Args:" in getattr(tinyedge, name).__doc__
        assert name in dir(tinyedge)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_blocks_of_the_page_run_in_order(tmp_path, monkeypatch):
    try:
        find_build_tools()
        find_tool("qemu-system-arm")
    except ToolMissing as error:
        pytest.skip(str(error))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.tflite").write_bytes(uint8_network())
    names: dict[str, object] = {}
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) == len(FUNCTIONS) + 2
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), names)


@pytest.mark.slow
@pytest.mark.thorough  # The page goes the same way.
@pytest.mark.timeout(600)
def test_the_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(ROOT / "examples" / "first_encoder.py"))
    assert (tmp_path / "first_encoder" / "c" / "src" / "digits_model.c").is_file()
    assert "% of 359 test images" in capsys.readouterr().out
