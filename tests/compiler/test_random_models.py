"""Random small models, many in one program: the bits of TFLite Micro on this machine and on emulated boards.

A failure names its seeds; `random_model(SEED)` is the model again.
"""

import secrets
from pathlib import Path

import numpy as np
import pytest
from compiler.model_cases import assert_models_bit_exact
from compiler.random_cases import random_case
from machines.case_machines import SANITISERS, HostMachine, build_kernels
from once import OncePerSession

from tinyedge.boards.board import board_names
from tinyedge.compiler.kernels import INSTRUCTION_SETS

BOARDS = [name for name in board_names() if name.startswith("mps")]  # One a core; they have room.


def fresh_seeds(count: int) -> range:
    first = secrets.randbits(31)
    return range(first, first + count)


@pytest.mark.slow
@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
@pytest.mark.parametrize("seeds", [range(60), fresh_seeds(40)], ids=["fixed", "fresh"])
def test_random_models(seeds: range, instruction_set: str, once: OncePerSession, tmp_path: Path) -> None:
    cases = [random_case(seed) for seed in seeds]
    kernels = build_kernels(HostMachine(instruction_set=instruction_set), once)
    outcomes = assert_models_bit_exact(cases, kernels, tmp_path)
    # Most models tell their inputs apart, or equal bits would mean little.
    assert sum(len(np.unique(outcome.outputs, axis=0)) > 1 for outcome in outcomes) > 0.6 * len(cases)


@pytest.mark.slow
def test_random_models_under_the_sanitisers(once: OncePerSession, tmp_path: Path) -> None:
    cases = [random_case(seed) for seed in (*range(10), *fresh_seeds(5))]
    for instruction_set in INSTRUCTION_SETS:
        machine = HostMachine(("-O1", "-g", *SANITISERS), instruction_set)
        assert_models_bit_exact(cases, build_kernels(machine, once), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("board_name", BOARDS)
@pytest.mark.parametrize("seeds", [range(12), fresh_seeds(8)], ids=["fixed", "fresh"])
def test_random_models_on_a_board(board_kernels, board_name: str, seeds: range, tmp_path: Path) -> None:
    assert_models_bit_exact([random_case(seed) for seed in seeds], board_kernels(board_name), tmp_path)


def test_random_models_hold_what_deployed_models_do() -> None:
    # Every fifth is an image network, which have the widest choice of layers.
    graphs = [random_case(seed).model.graph() for seed in (*range(0, 120, 3), *range(5, 400, 5))]
    found = {op for graph in graphs for op in graph.histogram()}
    assert found >= {
        *("ADD", "AVERAGE_POOL_2D", "BATCH_MATMUL", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"),
        *("GATHER", "LOGISTIC", "MAXIMUM", "MAX_POOL_2D", "MEAN", "MINIMUM", "MIRROR_PAD", "MUL", "PACK", "PAD"),
        *("REDUCE_MAX", "RESHAPE", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "REVERSE_V2", "SLICE", "SOFTMAX"),
        *("EQUAL", "GREATER", "LESS", "NOT_EQUAL", "SELECT_V2"),
        *("SPLIT_V", "TRANSPOSE", "UNPACK"),
    }
    options = [operator.options for graph in graphs for operator in graph.operators if operator.op == "CONV_2D"]
    assert any(option["dilation_h_factor"] > 1 for option in options)
    assert any(option["stride_h"] != option["stride_w"] for option in options)
