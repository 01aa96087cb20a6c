"""Random operators on emulated boards: the instructions of each core, its start-up code and its library."""

import secrets

import numpy as np
import pytest
from ops.kernel_cases import assert_bit_exact
from test_ops_factors import cases_of_every_shift
from test_ops_random import random_case

from tinyedge.boards.board import board_names

BOARDS = [name for name in board_names() if name.startswith("mps")]  # One a core; they have room.


@pytest.mark.slow
@pytest.mark.parametrize("board_name", BOARDS)
@pytest.mark.parametrize("seed", [1, None])
def test_random_cases_on_a_board(board_kernels, board_name, seed, tmp_path):
    seed = secrets.randbits(32) if seed is None else seed
    rng = np.random.default_rng(seed)
    try:
        assert_bit_exact([random_case(rng) for _ in range(120)], [board_kernels(board_name)], tmp_path)
    except BaseException:
        print(f"seed {seed}")
        raise


@pytest.mark.slow
@pytest.mark.parametrize("board_name", BOARDS)
def test_every_shift_on_a_board(board_kernels, board_name, tmp_path):
    assert_bit_exact(cases_of_every_shift(), [board_kernels(board_name)], tmp_path)
