"""Small folders of images through the commands of the tutorial, docs/tutorial_images.md."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from tinyedge.cli import main
from tinyedge.training.overwrite import check_replaceable

pytestmark = pytest.mark.slow
# For the time that the tests take alone.
MORE = {
    "train": ("--image-size", "16", "--strides", "2,1,2,2,2", "--epochs", "1"),
    "probe": ("--no-plots",),
    "bench": ("--inputs", "1", "--accuracy-images", "0"),
}


@pytest.fixture
def tinyedge(monkeypatch, capsys):
    """A function that runs a command in this process, which has loaded PyTorch already; gives what it said."""

    def run(*arguments: object) -> str:
        # With pytest's handlers, warnings would not reach standard error as they do in a process of their own.
        monkeypatch.setattr(logging.getLogger(), "handlers", [])
        monkeypatch.setattr("sys.argv", ["tinyedge", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr().err
        assert end.value.code == 0, said
        return said

    return run


def draw(folder: Path, count: int, tint: int, seed: int) -> None:
    """Photos of noise around a tint, of sizes of their own."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    for index in range(count):
        noise = random.integers(0, 90, (*random.integers(20, 50, 2), 3))
        Image.fromarray((noise + np.array([tint, 80, 160 - tint])).astype(np.uint8)).save(
            folder / f"{index} of {count}.jpg"
        )


def test_forty_images_of_two_classes_become_an_int8_model(tinyedge, tmp_path, monkeypatch, page_commands):
    if shutil.which("qemu-system-arm") is None or shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("the Arm compiler or QEMU is not installed: run `make system`")
    monkeypatch.chdir(tmp_path)
    pets, run = tmp_path / "pets", tmp_path / "runs" / "pets"
    commands = iter(page_commands("tutorial_images.md"))

    def follow(command: str) -> str:
        program, *words = next(commands)
        assert (program, words[0]) == ("tinyedge", command)
        return tinyedge(*words, *MORE.get(command, ()))

    draw(pets / "cat", 21, 0, 1)
    draw(pets / "dog", 21, 160, 2)
    for name in ("cat/3 of 21.jpg", "dog/5 of 21.jpg"):
        (pets / name).write_bytes(b"\xff\xd8 cut")

    shutil.copy(pets / "cat" / "0 of 21.jpg", "picture.jpg")
    said = follow("train")
    assert "left out 2 broken of 42 images" in said
    assert "20% of each class by seed 0: 8 images" in " ".join(said.split())
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["skipped_files"] == 2
    assert config["batch_size"] + 8 + 2 == 42

    follow("watch")
    follow("probe")
    (record,) = json.loads((run / "probe.json").read_text())
    assert record["held_out"] == config["held_out"]
    assert record["labels"] + record["test_images"] == 40

    follow("export")
    manifest = json.loads((run / "export" / "export.json").read_text())
    assert manifest["classes"] == ["cat", "dog"]
    assert manifest["calibration"]["images"] == record["labels"]
    parity = json.loads((run / "export" / "parity.json").read_text())
    assert parity["images"] == record["test_images"]
    for command in ("predict", "bench"):
        follow(command)
    assert not list(commands)
    check_replaceable(run)  # All that the commands wrote is known to be tinyedge's.
