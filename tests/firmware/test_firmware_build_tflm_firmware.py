"""The search for the smallest arena, and the board that it is done on."""

import dataclasses

import pytest

from tinyedge.boards.board import board_names, load_board
from tinyedge.firmware.tflm_firmware import emulated_twin, smallest_arena


@pytest.mark.parametrize("needed", [1, 16, 17, 495, 496, 500, 1023, 524_288])
@pytest.mark.parametrize("guess", [0, 16, 480, 496, 512, 528, 4096, 1 << 20])
def test_the_smallest_arena_is_found(needed, guess):
    for roomy in (size for size in (16, 64, 512, 1024, 1 << 20) if size >= needed):
        tried = []

        def fits(size: int) -> bool:
            assert size % 16 == 0
            assert 0 < size < roomy  # noqa: B023 - called in this turn of the loop; `roomy` is known to fit.
            assert size not in tried  # noqa: B023
            tried.append(size)  # noqa: B023
            return size >= needed

        assert smallest_arena(fits, guess, roomy) == -(-needed // 16) * 16
        assert len(tried) <= 2 * (roomy // 16).bit_length()


def test_a_right_guess_takes_two_tries():
    tried = []
    assert smallest_arena(lambda size: tried.append(size) or size >= 144_000, 144_000, 200_000) == 144_000
    assert tried == [144_000, 143_984]


@pytest.mark.parametrize("name", [name for name in board_names() if load_board(name).emulator])
def test_the_twin_runs_the_same_instructions(name):
    board = load_board(name)
    twin = emulated_twin(board)
    assert twin is not None
    assert twin.emulator is not None
    assert twin.cpu_flags == board.cpu_flags
    assert twin.ram_bytes >= board.ram_bytes


def test_a_core_that_nobody_emulates_has_no_twin():
    assert emulated_twin(dataclasses.replace(load_board("stm32f405"), cpu="cortex-m3")) is None
