"""Random small models, many in one program: the bits of TFLite Micro on this machine and on emulated boards.

A failure names its seeds; `random_model(SEED)` is the model again.
"""

import secrets
from pathlib import Path

import numpy as np
import pytest
from compiler.model_cases import assert_models_bit_exact
from compiler.random_cases import random_case
from machines.case_machines import SANITISED, HostMachine, build_kernels
from once import OncePerSession

from tinyedge.boards.board import board_names
from tinyedge.compiler.cascade import Cascade
from tinyedge.compiler.kernels import INSTRUCTION_SETS
from tinyedge.compiler.options import CompileOptions
from tinyedge.compiler.program import compile_graph

# The cores of boards that have room; a Cortex-M7 and an M33 run the M4's kernels, and an M3 the M0+'s.
STAND_FOR_ALL = ("mps2_an385_m0plus", "mps2_an386", "mps3_an547")
BOARDS = [
    pytest.param(name, marks=[] if name in STAND_FOR_ALL else [pytest.mark.thorough])
    for name in board_names()
    if name.startswith("mps")
]
# Chosen greedily: together they have every operator that there is in these models, and every kernel of each instruction
# set that the first sixty have.
SEEDS = (0, 1, 2, 4, 8, 10, 15, 18, 25, 35, 44, 45, 50, 80, 105, 115, 135, 145, 150, 165, 170, 320, 340)


@pytest.fixture
def seeds(thorough: bool) -> list[int]:
    """Some that stay, and some that are new each time; with --thorough many more of both."""
    first = secrets.randbits(31)
    return [*SEEDS, *range(first, first + (40 if thorough else 4)), *(range(60) if thorough else ())]


@pytest.mark.slow
@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
def test_random_models(seeds: list[int], instruction_set: str, once: OncePerSession, tmp_path: Path) -> None:
    cases = [random_case(seed) for seed in seeds]
    kernels = build_kernels(HostMachine(instruction_set=instruction_set), once)
    outcomes = assert_models_bit_exact(cases, kernels, tmp_path)
    # Most models tell their inputs apart, or equal bits would mean little. Of those that stay: few new ones may not.
    staying = outcomes[: len(SEEDS)]
    assert sum(len(np.unique(outcome.outputs, axis=0)) > 1 for outcome in staying) > 0.6 * len(SEEDS)


@pytest.mark.slow
@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
def test_random_models_under_the_sanitisers(
    seeds: list[int], instruction_set: str, once: OncePerSession, tmp_path: Path
) -> None:
    kernels = build_kernels(HostMachine(SANITISED, instruction_set), once)
    assert_models_bit_exact([random_case(seed) for seed in seeds[::2]], kernels, tmp_path)


@pytest.mark.slow
def test_random_models_for_little_flash(seeds: list[int], once: OncePerSession, tmp_path: Path) -> None:
    """With fewer kernels, under the sanitisers; the small forms of kernels are in tests/kernels."""
    kernels = build_kernels(HostMachine(SANITISED, "dsp"), once)
    assert_models_bit_exact([random_case(seed) for seed in seeds[1::2]], kernels, tmp_path, optimize="size")


@pytest.mark.slow
@pytest.mark.parametrize("board_name", BOARDS)
def test_random_models_on_a_board(board_kernels, board_name: str, seeds: list[int], tmp_path: Path) -> None:
    assert_models_bit_exact([random_case(seed) for seed in seeds], board_kernels(board_name), tmp_path)


def test_random_models_hold_what_deployed_models_do() -> None:
    graphs = [random_case(seed).model.graph() for seed in SEEDS]
    found = {op for graph in graphs for op in graph.histogram()}
    assert found >= {
        *("ADD", "AVERAGE_POOL_2D", "BATCH_MATMUL", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"),
        *("GATHER", "LOGISTIC", "MAXIMUM", "MAX_POOL_2D", "MEAN", "MINIMUM", "MIRROR_PAD", "MUL", "PACK", "PAD"),
        *("REDUCE_MAX", "RESHAPE", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "REVERSE_V2", "SLICE", "SOFTMAX"),
        *("EQUAL", "GREATER", "LESS", "NOT_EQUAL", "SELECT_V2", "GREATER_EQUAL", "LESS_EQUAL", "TRANSPOSE_CONV"),
        *("SPLIT_V", "TRANSPOSE", "UNPACK", "SPACE_TO_DEPTH", "DEPTH_TO_SPACE", "PRELU", "LEAKY_RELU", "SUM"),
        *("REDUCE_MIN", "TANH", "HARD_SWISH"),
    }
    options = [operator.options for graph in graphs for operator in graph.operators if operator.op == "CONV_2D"]
    assert any(option["dilation_h_factor"] > 1 for option in options)
    assert any(option["stride_h"] != option["stride_w"] for option in options)


@pytest.mark.parametrize(("instruction_set", "count"), [("scalar", 3), ("dsp", 16), ("mve", 6)])
def test_random_models_call_the_kernels_of_every_instruction_set(instruction_set: str, count: int) -> None:
    programs = [compile_graph(random_case(seed).model.graph(), CompileOptions(instruction_set)) for seed in SEEDS]
    kernels = {call.function for program in programs for call in program.calls}
    assert len({name for name in kernels if name.endswith(f"_{instruction_set}")}) >= count


@pytest.mark.parametrize(
    "instruction_set", ["portable", "scalar", "dsp"]
)  # On a Cortex-M55 they cost small models too much.
def test_some_random_models_are_compiled_to_cascades(instruction_set: str) -> None:
    programs = (compile_graph(random_case(seed).model.graph(), CompileOptions(instruction_set)) for seed in SEEDS)
    assert any(isinstance(step, Cascade) for program in programs for step in program.steps)
