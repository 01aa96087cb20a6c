"""A compiled model on emulated boards: the bits of TFLite Micro there too."""

from pathlib import Path

import numpy as np
import pytest
from compiler.random_networks import random_network

from tinyedge.boards.board import load_board
from tinyedge.devices.emulator import Emulator
from tinyedge.errors import ToolMissing
from tinyedge.firmware.build import build_firmware
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.toolchain import find_build_tools, find_tool

try:
    find_build_tools()
    find_tool("qemu-system-arm")
except ToolMissing as error:
    pytest.skip(str(error), allow_module_level=True)


@pytest.mark.parametrize("board_name", ["stm32f405", "mps2_an500", "mps3_an547"])  # Cortex-M4, M7, M55.
def test_int8_and_int16_on_a_board(tmp_path: Path, board_name: str) -> None:
    path = tmp_path / "mixed.tflite"
    path.write_bytes(random_network(3, mixed=True))
    golden, board = TflmRuntime(path), load_board(board_name)
    built = build_firmware(path, board, tmp_path / "out")
    with Emulator(built.elf, board) as emulator:
        shape = emulator.client.info().inputs[0].shape
        inputs = np.random.default_rng(0).integers(-128, 128, (4, *shape[1:])).astype(np.int8)
        inputs[0], inputs[1] = -128, 127
        outputs = []
        for image in inputs:
            emulator.client.load(image.tobytes())
            emulator.client.infer(1, warmup=0)
            outputs.append(np.frombuffer(emulator.client.raw(), dtype=np.int8))
    expected = golden.run(inputs)
    np.testing.assert_array_equal(np.stack(outputs).reshape(expected.shape), expected)
