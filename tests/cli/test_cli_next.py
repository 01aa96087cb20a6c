"""The next command that each command prints runs as it stands, in folders with blanks in their names too."""

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from compiler.tflite_builder import TensorSpec, one_operator

from tinyedge.cli import main
from tinyedge.errors import ToolMissing
from tinyedge.toolchain import find_build_tools, find_tool

BOARDS = Path(__file__).parents[2] / "tinyedge" / "boards"
MODEL = "my models/it's $mine.tflite"


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "a folder" / "(of mine)"
    (folder / "my models").mkdir(parents=True)
    shape = (1, 8, 8, 4)
    (folder / MODEL).write_bytes(one_operator("TANH", [TensorSpec(shape, 0.05, 0)], TensorSpec(shape, 1 / 128, 0)))
    return folder


@pytest.fixture
def following(folder, monkeypatch, capfd):
    """A function that runs a command line with a shell's rules and returns the next one that it prints.

    It is run in this process: what a process of its own costs is mostly imports.
    """

    def run(command: str, *more: str) -> str:
        program, *words = [*shlex.split(command, comments=True), *more]
        assert program == "tinyedge"
        monkeypatch.chdir(folder)
        monkeypatch.setattr("sys.argv", ["tinyedge", *words])
        with pytest.raises(SystemExit) as end:
            main()
        said, errors = capfd.readouterr()
        assert end.value.code == 0, errors
        return next(line for line in said.splitlines() if line.startswith("next: ")).removeprefix("next: ")

    return run


def test_a_model_goes_from_check_to_an_emulated_board_of_the_users_own(folder, following):
    try:
        find_build_tools()
        find_tool("qemu-system-arm")
    except ToolMissing as error:
        pytest.skip(str(error))
    board = "my boards/mine.toml"
    (folder / "my boards").mkdir()
    shutil.copy(BOARDS / "stm32f405.toml", folder / board)
    description = (folder / board).read_text()
    source = next(line for line in description.splitlines() if line.startswith("source"))
    shutil.copy(BOARDS.parents[1] / "firmware" / "boards" / shlex.split(source)[2], folder / "my boards")

    build = following(shlex.join(["tinyedge", "check", MODEL, "--board", board]))
    assert build == shlex.join(["tinyedge", "build", MODEL, "--board", board])
    flash = following(build)
    assert flash.endswith("tinyedge.elf' --board 'my boards/mine.toml'")
    bench = following(flash, "--emulator")
    assert bench == "tinyedge bench MODEL.tflite --target emulator --board 'my boards/mine.toml'"
    again = following(bench.replace("MODEL.tflite", shlex.quote(MODEL)), "--inputs", "1")
    assert again == build


def test_a_benchmark_on_the_host_keeps_the_board(following):
    bench = following(shlex.join(["tinyedge", "bench", MODEL, "--runtime", "aot", "--board", "nucleo_u575zi"]))
    assert bench == shlex.join(["tinyedge", "bench", MODEL, "--target", "emulator", "--board", "nucleo_u575zi"])


def test_the_library_of_a_compiled_model_is_built(folder, following):
    if shutil.which("cmake") is None:
        pytest.skip("CMake is not installed")
    command = following(shlex.join(["tinyedge", "compile", MODEL, "--out", "my C", "--name", "mine"]))
    subprocess.run(command, shell=True, cwd=folder, check=True, capture_output=True)
    assert list((folder / "build" / "mine").iterdir())


def test_the_layout_that_was_asked_for_is_built(folder, following):
    arguments = ["tinyedge", "compile", MODEL, "--out", "my C", "--name", "mine", "--layout", "make"]
    command = following(shlex.join(arguments))
    done = subprocess.run(command, shell=True, cwd=folder, check=True, capture_output=True, text=True)
    assert "as by TFLite Micro" in done.stdout
