"""Random operators on emulated boards: the instructions of each core, its start-up code and its library."""

import secrets

import numpy as np
import pytest
from ops.kernel_cases import assert_bit_exact
from test_ops_factors import cases_of_every_shift
from test_ops_random import random_case

from tinyedge.boards.board import board_names

# The cores of boards that have room; a Cortex-M7 and an M33 run the M4's kernels, and an M3 the M0+'s.
STAND_FOR_ALL = ("mps2_an385_m0plus", "mps2_an386", "mps3_an547")
BOARDS = [
    pytest.param(name, marks=[] if name in STAND_FOR_ALL else [pytest.mark.thorough])
    for name in board_names()
    if name.startswith("mps")
]


@pytest.mark.slow
@pytest.mark.parametrize("board_name", BOARDS)
def test_random_cases_on_a_board(board_kernels, board_name, thorough, tmp_path):
    seed = secrets.randbits(32)
    draws = [(1, 120), (seed, 120 if thorough else 40)]
    cases = [random_case(rng) for first, count in draws for rng in [np.random.default_rng(first)] for _ in range(count)]
    try:
        assert_bit_exact(cases, [board_kernels(board_name)], tmp_path)
    except BaseException:
        print(f"seed {seed}")
        raise


@pytest.mark.slow
@pytest.mark.parametrize("board_name", BOARDS)
def test_every_shift_on_a_board(board_kernels, board_name, tmp_path):
    assert_bit_exact(cases_of_every_shift(), [board_kernels(board_name)], tmp_path)
