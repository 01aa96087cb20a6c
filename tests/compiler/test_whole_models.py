"""Whole models through the compiler: the bits of TFLite Micro on every input."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from compiler.random_networks import random_network
from compiler.replay import assert_nothing_is_lost
from compiler.tflite_builder import OperatorSpec, TensorSpec, build_model, constant
from compiler.widen import widen

from tinyedge.compiler.kernels import INSTRUCTION_SETS, PORTABLE
from tinyedge.compiler.options import CompileOptions
from tinyedge.compiler.passes import PASSES
from tinyedge.compiler.program import compile_graph
from tinyedge.errors import TinyEdgeError
from tinyedge.runtimes.aot import AotRuntime
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.tflite.model import Model
from tinyedge.tflite.reader import read_tflite
from tinyedge.tflite.writer import tflite_bytes

ZOO = Path(__file__).resolve().parents[2] / "models"
# Multiply-accumulates; without constant channels VWW has 3,992,016 of its 7,489,664.
PUBLISHED = {"ic_resnet8_int8.tflite": 12_501_632, "vww_mbv1_025_int8.tflite": 3_992_016}


def int8_inputs(shape: tuple[int, ...], count: int) -> np.ndarray:
    """Random images, then the extremes: all -128, all 127, and noise of these two."""
    rng = np.random.default_rng(0)
    inputs = rng.integers(-128, 128, (count, *shape[1:])).astype(np.int8)
    inputs[-3], inputs[-2] = -128, 127
    inputs[-1] = rng.choice([-128, 127], shape[1:])
    return inputs


def assert_bit_exact(path: Path, count: int, instruction_set: str = PORTABLE) -> AotRuntime:
    model = Model(path)  # Read once.
    aot = AotRuntime(model, CompileOptions(instruction_set))
    inputs = int8_inputs(aot.program.inputs[0].shape, count)
    outputs = aot.run(inputs)
    assert len(np.unique(outputs, axis=0)) > 4
    np.testing.assert_array_equal(outputs, TflmRuntime(model).run(inputs))
    # Nothing is left over from one inference to the next.
    np.testing.assert_array_equal(aot.run(inputs[::-1])[::-1], outputs)
    return aot


# The second is depthwise layers like those of MobileNet anywhere; its kernels of each processor: tests/kernels.
@pytest.mark.parametrize(
    ("name", "instruction_set"),
    [
        pytest.param(
            name,
            instruction_set,
            marks=[pytest.mark.thorough] if "vww" in name and instruction_set in ("scalar", "dsp", "wasm") else [],
        )
        for name in PUBLISHED
        for instruction_set in INSTRUCTION_SETS
    ],
)
def test_published_models(name: str, instruction_set: str, shared_model: Callable[[str], Path]) -> None:
    program = assert_bit_exact(shared_model(name), 20, instruction_set).program
    assert program.macs == PUBLISHED[name]
    assert program.plan.arena_bytes == program.plan.lower_bound_bytes
    assert_nothing_is_lost(program)


# All of a processor's kernels that the twelve networks have are in three of them.
NETWORKS = [
    pytest.param(seed, name, marks=[pytest.mark.thorough] if name != PORTABLE and seed not in (0, 1, 11) else [])
    for name in INSTRUCTION_SETS
    for seed in range(12)
]


@pytest.mark.parametrize(("seed", "instruction_set"), NETWORKS)
def test_random_networks(seed: int, instruction_set: str, tmp_path: Path) -> None:
    path = tmp_path / "network.tflite"
    path.write_bytes(random_network(seed))
    assert_nothing_is_lost(assert_bit_exact(path, 20, instruction_set).program)


MIXED = [  # In the first three, values fade.
    pytest.param(seed, marks=[] if seed < 9 else [pytest.mark.thorough]) for seed in range(3, 15)
]


@pytest.mark.parametrize("seed", MIXED)
def test_random_networks_of_int8_and_int16(seed: int, tmp_path: Path) -> None:
    path = tmp_path / "network.tflite"
    path.write_bytes(random_network(seed, mixed=True))
    program = assert_bit_exact(path, 20).program
    assert_nothing_is_lost(program)
    assert {tensor.dtype.name for call in program.calls for tensor in call.inputs} == {"int8", "int16"}


@pytest.mark.parametrize(
    ("first", "last", "quantizes"), [(0, 132, 2), (35, 46, 2), (107, 130, 3)], ids=["all", "attention", "end"]
)
def test_the_zoos_network_in_int16(first: int, last: int, quantizes: int, tmp_path: Path) -> None:
    int8 = read_tflite(ZOO / "tinynext_t_cifar10" / "model_int8.tflite")
    path = tmp_path / "mixed.tflite"
    path.write_bytes(tflite_bytes(widen(int8, lambda operator: first <= operator.index <= last)))
    program = assert_bit_exact(path, 8).program
    assert read_tflite(path).histogram()["QUANTIZE"] == quantizes
    # The fullest layers are among the first.
    assert program.plan.arena_bytes == (2 if first == 0 else 1) * compile_graph(int8).plan.arena_bytes


@pytest.mark.parametrize("name", [rewrite.__name__ for rewrite in PASSES])
def test_any_pass_can_be_left_out(name: str, tmp_path: Path) -> None:
    path = tmp_path / "network.tflite"
    changed = 0
    for seed in range(3):
        path.write_bytes(random_network(seed))
        aot = AotRuntime(path, CompileOptions(without=(name,)))
        inputs = int8_inputs(aot.program.inputs[0].shape, 5)
        np.testing.assert_array_equal(aot.run(inputs), TflmRuntime(path).run(inputs))
        changed += aot.program.graph.histogram() != compile_graph(read_tflite(path)).graph.histogram()
    # These networks have no blocks, nothing dead, and move no constants. Channels are no operators.
    unseen = ("fold_constants", "fold_dilation", "remove_constant_channels")
    assert changed or name in (*unseen, "remove_dead")


def test_random_networks_hold_every_operator(tmp_path: Path) -> None:
    found: set[str] = set()
    path = tmp_path / "network.tflite"
    for seed in range(12):
        path.write_bytes(random_network(seed))
        found |= set(read_tflite(path).histogram())
    assert found >= {
        *("ADD", "AVERAGE_POOL_2D", "BATCH_MATMUL", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"),
        *("HARD_SWISH", "LOGISTIC", "MAX_POOL_2D", "MEAN", "MUL", "PAD", "QUANTIZE", "RELU", "RESHAPE", "SOFTMAX"),
        *("STRIDED_SLICE", "SUB", "TANH", "TRANSPOSE"),
    }


def test_damaged_networks_compile_or_are_refused(tmp_path: Path) -> None:
    rng = random.Random(0)
    path = tmp_path / "network.tflite"
    networks = [random_network(seed, mixed=mixed) for seed in range(3) for mixed in (False, True)]
    compiled = refused = 0
    for _ in range(160):
        damaged = bytearray(rng.choice(networks))
        for _ in range(rng.choice([1, 1, 2, 4])):
            damaged[rng.randrange(len(damaged))] = rng.choice([0, 1, 0x7F, 0x80, 0xFF])
        path.write_bytes(damaged)
        try:
            compile_graph(read_tflite(path))
            compiled += 1
        except TinyEdgeError:
            refused += 1
    assert min(compiled, refused) > 20


def test_parameters_and_constants_are_counted(tmp_path: Path) -> None:
    x, y = TensorSpec((1, 6), 0.1, 0), TensorSpec((1, 4), 0.2, 0)
    weights = constant(np.ones((4, 6), dtype=np.int8), 0.01)
    bias = constant(np.arange(4, dtype=np.int32))
    path = tmp_path / "model.tflite"
    path.write_bytes(build_model([OperatorSpec("FULLY_CONNECTED", [x, weights, bias], y)], [x], [y]))
    program = compile_graph(read_tflite(path))
    assert program.parameters == 4 * 6 + 4
    assert program.macs == 24
    # Weights, bias, and at least one multiplier and shift.
    assert program.constant_bytes >= 24 + 16 + 5
