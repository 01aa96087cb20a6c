"""A user's own encoder, method and board, from a folder outside the package, to an emulated board.

Its commands are those of the tutorial, docs/tutorial_encoder.md, and some of what the other pages say of plug-ins.

The images are those of a thermal camera, 12 bits of grey in 16-bit files, so that one channel goes the whole way too.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinyedge import plugins
from tinyedge.cli import main
from tinyedge.encoders import registry as encoders
from tinyedge.ssl import registry as methods

ROOT = Path(__file__).parents[1]
SIZE = 16


@dataclass(frozen=True)
class Answer:
    """What a command ended with."""

    returncode: object
    stdout: str
    stderr: str


@pytest.fixture
def tinyedge(capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """A function that runs a command in this process, which has loaded PyTorch already, without an earlier one's
    plug-ins."""

    def run(folder: Path, *arguments: str, fails: bool = False) -> Answer:
        with pytest.MonkeyPatch.context() as patch:
            for module, name in ((encoders, "_ENTRIES"), (methods, "_ENTRIES")):
                patch.setattr(module, name, dict(getattr(module, name)))
            patch.setattr(plugins, "_registered", set(plugins._registered))
            patch.chdir(folder)
            patch.setattr("sys.argv", ["tinyedge", *arguments])
            with pytest.raises(SystemExit) as end:
                main()
        answer = Answer(end.value.code, *capsys.readouterr())
        assert (answer.returncode != 0) == fails, answer.stderr + answer.stdout
        return answer

    return run


def next_command(answer: Answer) -> str:
    return next(line for line in answer.stdout.splitlines() if line.startswith("next: ")).removeprefix("next: ")


def draw_squares(folder: Path) -> None:
    """Bright squares in one of two corners: two classes that two epochs tell apart."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 40), ("test", 8)):
        for name, corner in (("left", slice(0, 8)), ("right", slice(8, 16))):
            (folder / split / name).mkdir(parents=True)
            for index in range(count):
                pixels = generator.integers(0, 1440, (SIZE, SIZE), dtype=np.uint16)
                pixels[corner, corner] += generator.integers(1440, 2560, dtype=np.uint16)
                Image.fromarray(pixels).save(folder / split / name / f"{index}.png")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_own_encoder_method_and_board(tmp_path, tinyedge, page_commands):
    for program in ("arm-none-eabi-gcc", "qemu-system-arm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: run `make system`")
    folder = tmp_path / "a folder" / "(of mine)"
    folder.mkdir(parents=True)
    for part in (ROOT / "examples" / "plugins").iterdir():
        if part.is_file():
            shutil.copy(part, folder)
    (folder / "small_cnn.py").rename(folder / "my encoder.py")
    draw_squares(folder / "squares")
    commands = iter(page_commands("tutorial_encoder.md"))
    of_mine = {"small_cnn.py": "my encoder.py", "runs/small": "my runs/1"}

    def follow(command: str, *more: str) -> Answer:
        program, *words = (of_mine.get(word, word) for word in next(commands))
        assert (program, words[0]) == ("tinyedge", command)
        return tinyedge(folder, *words, *more)

    assert "stm32f405" in follow("check", "--channels", "1").stdout
    method = ("--plugin", "align_spread.py", "--method", "align-spread", "--option", "projector_width=32")
    trained = follow("train", *method, "--channels", "1", "--epochs", "2", "--batch-size", "40")
    probe = next_command(trained)
    assert probe == "tinyedge probe 'my runs/1' --plugin 'my encoder.py' --plugin align_spread.py"
    refused = tinyedge(folder, "probe", "my runs/1", fails=True)
    assert refused.returncode == 2
    assert "add --plugin" in refused.stderr
    assert "Traceback" not in refused.stderr
    probed = follow("probe", "--seeds", "1", "--no-plots")
    export = next_command(probed)
    assert export == "tinyedge export 'my runs/1' --plugin 'my encoder.py'"
    exported = follow("export", "--calibration", "32", "--max-drop", "10")
    assert next_command(exported) == "tinyedge bench 'my runs/1' --target emulator"
    parity = json.loads((folder / "my runs" / "1" / "export" / "parity.json").read_text())
    assert parity["failures"] == []
    described = json.loads((folder / "my runs" / "1" / "export" / "export.json").read_text())
    assert described["input"]["shape"] == [1, 32, 32, 1]
    assert described["preprocessing"]["channels"] == "grey"
    assert described["preprocessing"]["white_level"] == 4095
    board = ("--board", "lab_m4.toml")
    tinyedge(folder, "build", "my runs/1", *board, "--out", "image")
    assert (folder / "image" / "tinyedge.elf").is_file()
    benched = follow("bench", *board, "--inputs", "2", "--json")
    assert not list(commands)
    (record,) = json.loads(benched.stdout)["results"]
    assert record["board"] == "lab_m4"
    assert record["bit_exact"] is not False
    assert record["instructions"] > 0
    seen = tinyedge(folder, "predict", "my runs/1", "squares/test", "--json", "--top", "1")
    predictions = json.loads(seen.stdout)["predictions"]
    right = sum(prediction["classes"][0]["name"] in prediction["file"] for prediction in predictions)
    assert right >= 0.9 * len(predictions)
