"""Images that learn classes: what they leave free in the flash, and what does not fit there."""

import dataclasses
import struct
import subprocess
from pathlib import Path

import pytest

from tinyedge.boards.board import board_names, load_board
from tinyedge.errors import BudgetExceeded, ConfigError, ToolMissing
from tinyedge.firmware.class_record import check_classes, record_bytes
from tinyedge.firmware.cmake_build import build_image
from tinyedge.firmware.image import ImageOptions
from tinyedge.toolchain import find_build_tools

COUNTDOWN = Path(__file__).resolve().parents[1] / "firmware" / "fixtures" / "countdown"
SAVING = [name for name in board_names() if load_board(name).store]

try:
    find_build_tools()
except ToolMissing as error:
    pytest.skip(str(error), allow_module_level=True)


@pytest.mark.parametrize("name", SAVING)
def test_the_store_lies_in_the_flash(name):
    board = load_board(name)
    assert board.flash.origin <= board.store.origin
    assert board.store.end <= board.flash.end
    assert board.store.program_bytes in (1, 2, 4, 8, 16, 32)
    assert board.store.slot_bytes % 32 == 0


def test_the_stm32f405_saves_in_two_sectors_of_16_kilobytes():
    store = load_board("stm32f405").store
    assert (store.origin, store.end, store.program_bytes) == (0x0800_4000, 0x0800_C000, 4)


@pytest.mark.parametrize("name", SAVING)
def test_an_image_that_learns_leaves_the_store_free(image, name):
    board = load_board(name)
    built = image(name, classes=3)
    said = subprocess.run(["arm-none-eabi-objdump", "-h", built.elf], capture_output=True, text=True, check=True).stdout
    sections = [line.split() for line in said.splitlines() if line.strip()[:1].isdigit()]
    spans = [(int(row[4], 16), int(row[4], 16) + int(row[2], 16)) for row in sections]  # Where they are loaded.
    assert all(end <= board.store.origin or start >= board.store.end for start, end in spans)
    content = built.bin.read_bytes()
    assert struct.unpack("<I", content[:4])[0] == board.sram.origin + board.stack_bytes  # The vectors come first.
    gap = content[board.store.origin - board.flash.origin : board.store.end - board.flash.origin]
    assert set(gap) <= {0xFF}
    sizes = built.sizes
    assert sizes.flash_bytes == sizes.flash_code_bytes + sizes.flash_model_bytes + sizes.flash_store_bytes
    assert sizes.flash_store_bytes >= 2 * board.store.slot_bytes
    # Armv6-M divides, and multiplies to 64 bits, in functions of the C library.
    assert sizes.flash_code_bytes < (20_480 if board.cpu == "cortex-m0plus" else 16_384)
    assert {row.what for row in built.memory_rows() if row.memory == "flash"} == {
        "code",
        "model",
        "saved classes",
        "all",
    }


def test_the_classes_take_their_record_of_the_ram(tmp_path):
    board = load_board("mps2_an386")
    few, many = (
        build_image(COUNTDOWN, board, tmp_path / str(count), ImageOptions(classes=count)).sizes for count in (2, 20)
    )
    assert many.ram_bytes - few.ram_bytes == record_bytes(20, 24) - record_bytes(2, 24)
    assert many.flash_bytes == few.flash_bytes


@pytest.mark.parametrize(("values", "most"), [(192, 42), (1280, 6), (8173, 1)])
def test_as_many_classes_as_fit_a_slot_are_taken(values, most):
    board = load_board("stm32f405")
    check_classes(most, values, board)
    assert record_bytes(most, values) <= 16_384
    with pytest.raises(BudgetExceeded, match=rf"stm32f405 saves up to 16,384: give --enroll {most} or less"):
        check_classes(most + 1, values, board)


def test_an_embedding_that_is_too_long_for_one_class_is_refused():
    with pytest.raises(BudgetExceeded, match="a shorter embedding"):
        check_classes(1, 8174, load_board("stm32f405"))


def test_a_board_without_a_store_is_refused():
    board = dataclasses.replace(load_board("stm32f405"), store=None)
    with pytest.raises(ConfigError, match=r"stm32f405 cannot save classes"):
        check_classes(1, 8, board)


def test_an_image_learns_or_answers_as_a_benchmark():
    with pytest.raises(ConfigError, match="ic01"):
        ImageOptions(mlperf_id="ic01", classes=3)
