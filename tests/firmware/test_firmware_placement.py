"""Kernels and weights in RAM: where the linker puts them, that they run there, and what is told where they cannot."""

import shutil
import subprocess
from pathlib import Path

import pytest
from compiler.random_networks import random_network
from test_firmware_emulated import countdown_input

from tinyedge.boards.board import load_board
from tinyedge.devices.emulator import Emulator
from tinyedge.errors import BudgetExceeded, ConfigError, ToolMissing
from tinyedge.firmware.build import build_firmware
from tinyedge.firmware.cmake_build import build_image
from tinyedge.firmware.image import ImageOptions
from tinyedge.toolchain import find_build_tools, find_tool

COUNTDOWN = Path(__file__).resolve().parent / "fixtures" / "countdown"
IN_RAM = ImageOptions(kernels_in="ram", weights_in="ram")

try:
    find_build_tools()
except ToolMissing as error:
    pytest.skip(str(error), allow_module_level=True)


def addresses(elf: Path) -> dict[str, int]:
    """Where each symbol of an image is, by its name."""
    gcc = find_tool("arm-none-eabi-gcc").path
    nm = gcc.with_name(gcc.name.replace("gcc", "nm"))
    lines = subprocess.run([nm, elf], capture_output=True, text=True, check=True).stdout.splitlines()
    return {line.split()[2]: int(line.split()[0], 16) for line in lines if len(line.split()) == 3}


@pytest.mark.parametrize("name", ["nucleo_l4r5zi", "disco_f746ng", "nucleo_h743zi2"])
def test_each_part_lies_in_its_memory(name, tmp_path):
    board = load_board(name)
    image = build_image(COUNTDOWN, board, tmp_path, IN_RAM)
    found = addresses(image.elf)
    code_ram = board.code_ram
    assert code_ram.origin <= found["countdown_invoke"] < code_ram.origin + image.sizes.code_ram_bytes
    assert image.ram.origin <= found["table"] < image.ram.end
    assert image.ram.origin <= found["arena"] < image.ram.end
    assert board.flash.origin <= found["te_runtime_invoke"] < board.flash.end
    assert board.flash.origin <= found["te_kernels_load"] < board.flash.end
    assert board.flash.origin <= found["te_weights_load"] < board.flash.end
    if name == "nucleo_l4r5zi":  # SRAM2, which holds the code, has a second address amid the variables.
        assert image.ram.origin >= 0x20040000


def test_the_worst_case_of_the_stack_is_that_of_flash(tmp_path):
    model, board = tmp_path / "model.tflite", load_board("nucleo_l4r5zi")
    model.write_bytes(random_network(4))
    deepest = build_firmware(model, board, tmp_path / "flash").stack
    assert deepest.worst_case_bytes > 0
    assert build_firmware(model, board, tmp_path / "ram", IN_RAM).stack == deepest


def test_the_table_of_sizes_counts_what_was_copied(tmp_path):
    board = load_board("nucleo_l4r5zi")
    plain = build_image(COUNTDOWN, board, tmp_path / "flash").sizes
    image = build_image(COUNTDOWN, board, tmp_path / "ram", IN_RAM)
    assert plain.code_ram_bytes == plain.weights_ram_bytes == 0
    assert image.sizes.weights_ram_bytes >= 256  # The table, and what else the model has of constants.
    assert image.sizes.ram_bytes == plain.ram_bytes + image.sizes.weights_ram_bytes
    assert image.sizes.arena_bytes == plain.arena_bytes
    rows = {(row.memory, row.what): row for row in image.memory_rows()}
    assert rows["code RAM", "kernels"].bytes == image.sizes.code_ram_bytes > 0
    assert rows["code RAM", "kernels"].limit == 65_536
    assert rows["RAM", "weights"].bytes == image.sizes.weights_ram_bytes
    parts = ("arena", "input and variables", "weights", "stack")
    assert rows["RAM", "all"].bytes == sum(rows["RAM", part].bytes for part in parts)


@pytest.mark.parametrize("name", ["mps2_an386", "mps2_an500"])
@pytest.mark.parametrize("options", [ImageOptions(kernels_in="ram"), ImageOptions(weights_in="ram"), IN_RAM])
def test_it_runs_there(name, options, tmp_path):
    board = load_board(name)
    image = build_image(COUNTDOWN, board, tmp_path, options)
    data = countdown_input(3)
    with Emulator(image.elf, board) as emulator:
        assert emulator.run(data) == data[::-1]


def test_a_board_without_such_memory_is_told():
    with pytest.raises(ConfigError, match=r"stm32f405 has no memory for code .* leave --kernels-in out"):
        build_image(COUNTDOWN, load_board("stm32f405"), Path("unused"), ImageOptions(kernels_in="ram"))


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ("origin = 0x21000000\nbytes = 64\n", r"the kernels need [\d,]+ bytes of code RAM and small has 64"),
        (
            "origin = 0x21000000\nbytes = 65536\nsram_origin = 0x20000000\nsram_bytes = 4160\n",
            r"need [\d,]+ bytes of RAM and small has 4,160 left beside the kernels",
        ),
    ],
)
def test_what_does_not_fit_is_told(section, told, tmp_path):
    text = load_board("mps2_an386").file.read_text()
    start = text.index("[code_ram]\n") + len("[code_ram]\n")
    rest = text[text.index("\n\n", start) + 1 :]
    (tmp_path / "small.toml").write_text(text[:start] + section + rest)
    shutil.copy(Path(__file__).resolve().parents[2] / "firmware" / "boards" / "mps2.c", tmp_path)
    with pytest.raises(BudgetExceeded, match=told):
        build_image(COUNTDOWN, load_board(tmp_path / "small.toml"), tmp_path / "out", ImageOptions(kernels_in="ram"))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"kernels_in": "tcm"}, "choose --kernels-in flash or ram"),
        ({"weights_in": "ccm"}, "choose --weights-in flash or ram"),
        ({"weights_in": "ram", "runtime": "tflm"}, "leave --weights-in or --runtime tflm out"),
    ],
)
def test_choices_that_are_none_are_told(options, told):
    with pytest.raises(ConfigError, match=told):
        ImageOptions(**options)
