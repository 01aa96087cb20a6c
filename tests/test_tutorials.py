"""Every command of the tutorials runs, in the order of its page, on small things of the kinds that the page speaks of.

Those of two pages are run by tests that went the same way before: your images by tests/cli/test_cli_small_folders.py,
your own encoder by tests/test_own_parts.py.
"""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from compiler.random_networks import random_network
from firmware.mlperf_models import benchmark_model
from torch import nn

from tinyedge.cli import main
from tinyedge.conversion.module import export_module

PAGES = Path(__file__).parents[1] / "docs"
pytestmark = pytest.mark.slow


@pytest.fixture
def follow(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    page_commands: Callable[[str], list[list[str]]],
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., str]:
    """A function that runs a page's commands, those of tinyedge in this process, which has loaded PyTorch already.

    `more` has options that are put behind those of a command, for the time that the tests take alone.
    """
    monkeypatch.chdir(tmp_path)

    def run(page: str, **more: tuple[str, ...]) -> str:
        said = ""
        commands = page_commands(page)
        assert commands
        assert set(more) <= {words[1] for words in commands}
        for words in commands:
            if words[0] != "tinyedge":
                done = subprocess.run(words, check=True, capture_output=True, text=True)
                said += done.stdout
                continue
            monkeypatch.setattr("sys.argv", [*words, *more.get(words[1], ())])
            with pytest.raises(SystemExit) as end:
                main()
            captured = capsys.readouterr()
            assert end.value.code == 0, (words, captured.err)
            said += captured.out
        return said

    return run


def test_your_c_project(follow, tmp_path):
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    (tmp_path / "model.tflite").write_bytes(random_network(1, layers=3))
    said = follow("tutorial_c_project.md")
    assert "as by TFLite Micro" in said
    header = (tmp_path / "ic" / "src" / "ic_model.h").read_text()
    page = (PAGES / "tutorial_c_project.md").read_text(encoding="utf-8")
    for name in ("ic_init", "ic_input", "ic_invoke", "ic_output", "IC_INPUT_BYTES"):
        assert name in header
        assert name in page


def test_your_model_from_onnx(follow, tmp_path):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
    export_module(network, [np.zeros((1, 6), np.float32)], tmp_path / "network.onnx")
    np.save(tmp_path / "samples.npy", np.random.default_rng(0).normal(size=(64, 6)).astype(np.float32))
    follow("tutorial_onnx.md")
    assert (tmp_path / "network_c" / "src" / "network_model.c").is_file()


def test_mlperf(follow, tmp_path):
    for program in ("arm-none-eabi-gcc", "qemu-system-arm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: run `make system`")
    (tmp_path / "ic.tflite").write_bytes(benchmark_model("ic01"))
    said = follow("tutorial_mlperf.md", bench=("--inputs", "1"))
    assert "instructions" in said
    assert (tmp_path / "image" / "tinyedge.hex").is_file()
