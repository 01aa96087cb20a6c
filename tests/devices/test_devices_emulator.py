"""Starting and stopping QEMU: what goes wrong is said, and nothing is left running."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest

from tinyedge.boards.board import load_board
from tinyedge.devices.emulator import Emulator
from tinyedge.errors import ConfigError, TargetError, ToolMissing
from tinyedge.firmware.cmake_build import build_image
from tinyedge.toolchain import find_build_tools, find_tool

COUNTDOWN = Path(__file__).resolve().parents[1] / "firmware" / "fixtures" / "countdown"
BOARD = "mps2_an386"

try:
    find_build_tools()
    find_tool("qemu-system-arm")
except ToolMissing as error:
    pytest.skip(str(error), allow_module_level=True)


@pytest.fixture(scope="module")
def elf(tmp_path_factory) -> Path:
    return build_image(COUNTDOWN, load_board(BOARD), tmp_path_factory.mktemp("image")).elf


def running(elf: Path) -> list[int]:
    """The processes whose command line names this file."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except (OSError, IndexError):
            continue
        if b"-kernel" in words and str(elf).encode() in words and state != "Z":
            found.append(int(entry.name))
    return found


def wait_until(condition, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def test_nothing_is_left_running(elf):
    with Emulator(elf, load_board(BOARD)) as emulator:
        assert len(running(elf)) == 1
        assert emulator.client.info().name == "countdown"
    assert running(elf) == []


def test_nothing_is_left_running_after_an_error(elf):
    with pytest.raises(RuntimeError), Emulator(elf, load_board(BOARD)):
        raise RuntimeError
    assert running(elf) == []


def test_two_run_side_by_side(elf):
    board = load_board(BOARD)
    with Emulator(elf, board) as first, Emulator(elf, board) as second:
        first.client.load(bytes(24))
        first.client.infer(1, warmup=0)
        with pytest.raises(TargetError, match="no inference has run"):
            second.client.raw()


def test_one_object_can_run_twice(elf):
    emulator = Emulator(elf, load_board(BOARD))
    for _ in range(2):
        with emulator:
            assert emulator.client.info().layers == 2


def test_an_input_comes_the_same_through_the_serial_port_and_the_debugger(elf):
    inputs = [bytes([seed + 1, 0, 0, 0, *range(20)]) for seed in range(4)]
    outputs = {}
    for way in ("client", "emulator"):
        with Emulator(elf, load_board(BOARD)) as emulator:
            load = emulator.client.load if way == "client" else emulator.load
            answers = []
            for data in inputs:
                load(data)
                emulator.client.infer(1, warmup=0)
                answers.append((emulator.client.raw(), emulator.client.crc()[0]))
            outputs[way] = answers
            if way == "emulator":
                with pytest.raises(TargetError, match="the model takes 24 bytes, not 23"):
                    emulator.load(bytes(23))
    assert outputs["client"] == outputs["emulator"]
    assert len(set(outputs["client"])) == len(inputs)
    assert [crc for _, crc in outputs["emulator"]] == [zlib.crc32(data) for data in inputs]


def test_the_death_of_qemu_is_told(elf):
    with Emulator(elf, load_board(BOARD)) as emulator:
        (process,) = running(elf)
        os.kill(process, signal.SIGKILL)
        with pytest.raises(TargetError, match="QEMU's mps2-an386 ended"):
            for _ in range(100):
                emulator.client.info()


def test_an_inference_that_does_not_end_is_told(elf):
    with Emulator(elf, load_board(BOARD)) as emulator:
        emulator.client.load((0xFFFFFF00).to_bytes(4, "little") + bytes(20))
        with pytest.raises(
            TargetError, match=r"did not answer `infer 1 0` within 1 s after 'm-(infer-start-1|lap-us-\d+)'"
        ):
            emulator.client.command("infer 1 0", timeout_s=1)
    assert running(elf) == []


def test_a_broken_image_is_told(tmp_path):
    elf = tmp_path / "noise.elf"
    elf.write_bytes(b"\x7fELF" + bytes(range(200)))
    with pytest.raises(TargetError, match="mps2-an386"), Emulator(elf, load_board("mps2_an386")):
        pass
    assert running(elf) == []


def test_a_missing_image_is_told(tmp_path):
    with pytest.raises(TargetError, match="tinyedge build"):
        Emulator(tmp_path / "none.elf", load_board(BOARD))


def test_a_board_that_qemu_lacks_is_told(elf):
    with pytest.raises(ConfigError, match="QEMU does not emulate"):
        Emulator(elf, dataclasses.replace(load_board(BOARD), emulator=None))


def test_a_missing_qemu_is_told(elf, monkeypatch):
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(ToolMissing, match="apt-get install qemu-system-arm"):
        Emulator(elf, load_board(BOARD))


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="util-linux without setpriv")
def test_qemu_dies_with_a_killed_parent(elf):
    program = (
        "import sys, time; from pathlib import Path\n"
        "from tinyedge.boards.board import load_board; from tinyedge.devices.emulator import Emulator\n"
        "with Emulator(Path(sys.argv[1]), load_board(sys.argv[2])):\n"
        "    print('up', flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, elf, BOARD], stdout=subprocess.PIPE) as parent:
        assert parent.stdout.readline() == b"up\n"
        assert len(running(elf)) == 1
        parent.kill()
    assert wait_until(lambda: running(elf) == [])


# Layers are those of any model; the large one has many bytes to load once more.
@pytest.mark.parametrize(
    ("name", "with_layers"),
    [
        ("ic_resnet8_int8.tflite", True),
        pytest.param("vww_mbv1_025_int8.tflite", False, marks=pytest.mark.thorough),
    ],
)
def test_a_published_model_gives_tflite_micros_bits(shared_model, thorough, tmp_path, name, with_layers):
    import numpy as np

    from tinyedge.firmware.build import build_firmware
    from tinyedge.firmware.image import ImageOptions
    from tinyedge.runtimes.tflm import TflmRuntime

    model, board = shared_model(name), load_board("stm32f405")
    try:
        runtime = TflmRuntime(model)
    except ToolMissing as error:
        pytest.skip(str(error))
    with Emulator(build_firmware(model, board, tmp_path).elf, board) as emulator:
        shape = emulator.client.info().inputs[0].shape
        value = np.random.default_rng(7).integers(-128, 128, shape, dtype=np.int8)
        emulator.client.load(value.tobytes())
        emulator.client.infer(1, warmup=0)
        assert emulator.client.raw() == runtime.run(value).tobytes()
        whole = emulator.client.instructions()
    if not (with_layers or thorough):
        return
    # The layers, hooks taken out, are the inference.
    with Emulator(build_firmware(model, board, tmp_path, ImageOptions(layers=True)).elf, board) as emulator:
        emulator.client.load(value.tobytes())
        parts = sum(layer.count for layer in emulator.client.layers())
    assert abs(whole - parts) < whole * 1e-4
