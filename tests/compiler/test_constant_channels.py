"""Channels with one value for every input: which go, and that the outputs stay those of TFLite Micro, bit for bit."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from compiler.tflite_builder import OperatorSpec, TensorSpec, build_model, constant

from tinyedge.compiler.passes.remove_constant_channels import remove_constant_channels
from tinyedge.runtimes.aot import AotRuntime
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.tflite.graph import Graph
from tinyedge.tflite.reader import read_tflite

CHANNELS = 12
STEPS = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1, "padding": "VALID"}
RELU = {"fusedActivationFunction": "RELU"}


def image(*shape: int, scale: float = 0.1, zero_point: int = -128) -> TensorSpec:
    return TensorSpec(shape, scale, zero_point)


class Layers:
    """Layers one after the other; `dead` are the filters of zeros, with the biases that they give."""

    def __init__(self, seed: int, source: TensorSpec) -> None:
        self.rng = np.random.default_rng(seed)
        self.source = self.last = source
        self.operators: list[OperatorSpec] = []

    def add(self, op: str, inputs: Sequence[TensorSpec | None], output: TensorSpec, **options: object) -> TensorSpec:
        self.operators.append(OperatorSpec(op, [self.last, *inputs], output, options))
        self.last = output
        return output

    def _parameters(self, shape: tuple[int, ...], axis: int, dead: dict[int, int]) -> list[TensorSpec]:
        weights = self.rng.integers(-127, 128, shape).astype(np.int8)
        bias = self.rng.integers(-2000, 2000, shape[axis]).astype(np.int32)
        for filter_, value in dead.items():
            np.moveaxis(weights, axis, 0)[filter_], bias[filter_] = 0, value
        scales = self.rng.uniform(0.002, 0.02, shape[axis])
        return [constant(weights, scales.tolist(), axis=axis), constant(bias)]

    def convolution(self, filters: int, kernel: int, dead: dict[int, int], **options: object) -> TensorSpec:
        _, height, width, channels = self.last.shape
        cut = 0 if options.get("padding") == "SAME" else kernel - 1
        parameters = self._parameters((filters, kernel, kernel, channels), 0, dead)
        output = image(1, height - cut, width - cut, filters)
        return self.add("CONV_2D", parameters, output, **{**STEPS, **RELU, **options})

    def depthwise(self, dead: dict[int, int], **options: object) -> TensorSpec:
        _, height, width, channels = self.last.shape
        cut = 0 if options.get("padding") == "SAME" else 2
        parameters = self._parameters((1, 3, 3, channels), 3, dead)
        output = image(1, height - cut, width - cut, channels)
        return self.add("DEPTHWISE_CONV_2D", parameters, output, **{**STEPS, **RELU, "depthMultiplier": 1, **options})

    def pool(self, op: str) -> TensorSpec:
        _, height, width, channels = self.last.shape
        steps = {"filterHeight": height, "filterWidth": width, "strideH": height, "strideW": width}
        return self.add(op, [], image(1, 1, 1, channels), **steps, padding="VALID")

    def classifier(self, zero_point: int = 0) -> TensorSpec:
        channels = self.last.shape[-1]
        self.add("RESHAPE", [constant(np.array([1, channels], dtype=np.int32))], image(1, channels))
        weights = self.rng.integers(-127, 128, (5, channels)).astype(np.int8)
        bias = constant(self.rng.integers(-2000, 2000, 5).astype(np.int32))
        return self.add("FULLY_CONNECTED", [constant(weights, 0.01, zero_point), bias], image(1, 5, zero_point=7))

    def rewritten(self, folder: Path) -> Graph:
        """The graph after the pass, having checked the compiled model against TFLite Micro."""
        path = folder / "model.tflite"
        path.write_bytes(build_model(self.operators, [self.source], [self.last]))
        inputs = self.rng.integers(-128, 128, (8, *self.source.shape[1:])).astype(np.int8)
        inputs[-2], inputs[-1] = -128, 127
        outputs = AotRuntime(path).run(inputs)
        assert len(np.unique(outputs)) > 2
        np.testing.assert_array_equal(outputs, TflmRuntime(path).run(inputs))
        graph = read_tflite(path)
        remove_constant_channels(graph)
        return graph


def channels_of(graph: Graph) -> list[int]:
    return [operator.output.shape[-1] for operator in graph.operators]


@pytest.mark.parametrize("op", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
@pytest.mark.parametrize("zero_point", [0, 9])
def test_dead_channels_go_all_the_way(op: str, zero_point: int, tmp_path: Path) -> None:
    layers = Layers(0, image(1, 9, 8, 3, zero_point=-3))
    # Of the zero point, of other values, and of the largest.
    layers.convolution(CHANNELS, 3, {0: -500, 2: 700, 5: 2**30, 7: -(2**31), 11: 123})
    layers.depthwise({}, padding="VALID")
    layers.pool(op)
    layers.classifier(zero_point)
    assert channels_of(layers.rewritten(tmp_path)) == [8, 8, 8, 8, 5]


def test_borders_keep_what_is_not_padding(tmp_path: Path) -> None:
    layers = Layers(1, image(1, 7, 6, 3))
    layers.convolution(CHANNELS, 1, {0: -500, 1: -1, 2: -400, 3: -700, 4: 900, 5: 1000, 6: 2000, 7: 999})
    layers.depthwise(dict.fromkeys(range(8), -700), padding="SAME")
    layers.convolution(CHANNELS, 3, {}, padding="SAME")
    assert channels_of(layers.rewritten(tmp_path)) == [4, 4, CHANNELS]  # No window of zeros sees the borders.
    layers = Layers(1, image(1, 7, 6, 3))
    layers.convolution(CHANNELS, 1, {channel: -500 if channel < 4 else 900 for channel in range(8)})
    layers.convolution(CHANNELS, 3, {}, padding="SAME")
    assert channels_of(layers.rewritten(tmp_path)) == [8, CHANNELS]


def test_constants_follow_from_constants(tmp_path: Path) -> None:
    layers = Layers(2, image(1, 7, 6, 3))
    layers.convolution(4, 1, {channel: 10 * channel for channel in range(4)})
    layers.convolution(CHANNELS, 1, {})
    layers.convolution(5, 1, {})
    path = tmp_path / "model.tflite"
    path.write_bytes(build_model(layers.operators, [layers.source], [layers.last]))
    graph = read_tflite(path)
    remove_constant_channels(graph)
    assert channels_of(graph) == [4, 4, 5]  # A word is left of each.


def test_sums_within_a_step_are_constant_and_odd_numbers_need_no_words(tmp_path: Path) -> None:
    layers = Layers(3, image(1, 6, 6, 3))
    layers.convolution(7, 3, {0: -300})
    weights, bias = layers.operators[0].inputs[1:]
    weights.data[3] = 0
    weights.data[3, 1, 1, 1] = 1
    bias.data[3] = -2000
    weights.data[4, ...] = np.abs(weights.data[4])
    bias.data[4] = 2**25
    bias.data[5], bias.data[6] = -(2**30), 2**31 - 10_000_000  # Sums beyond the bound of what the DSP kernels take.
    layers.convolution(6, 1, {})
    assert channels_of(layers.rewritten(tmp_path)) == [2, 6]


def test_channels_that_something_else_reads_stay(tmp_path: Path) -> None:
    layers = Layers(4, image(1, 6, 6, 3))
    shared = layers.convolution(CHANNELS, 3, {0: -5, 1: 5, 2: 8, 3: 9})
    read = layers.convolution(CHANNELS, 1, {})
    layers.operators.append(OperatorSpec("ADD", [shared, read], image(1, 4, 4, CHANNELS, scale=0.2)))
    layers.last = layers.operators[-1].output
    assert channels_of(layers.rewritten(tmp_path)) == [CHANNELS] * 3


def test_the_models_own_channels_stay(tmp_path: Path) -> None:
    layers = Layers(5, image(1, 6, 6, CHANNELS))
    layers.depthwise(dict.fromkeys(range(8), 40))
    layers.convolution(CHANNELS, 1, dict.fromkeys(range(8), 40))
    assert channels_of(layers.rewritten(tmp_path)) == [CHANNELS] * 2


def test_two_readers_of_the_same_weights(tmp_path: Path) -> None:
    layers = Layers(6, image(1, 6, 6, 3))
    shared = layers.convolution(CHANNELS, 3, {0: -5, 1: 5, 2: 8, 3: 9})
    first = layers.convolution(6, 1, {})
    parameters, second = layers.operators[-1].inputs[1:], image(1, 4, 4, 6)
    layers.operators.append(OperatorSpec("CONV_2D", [shared, *parameters], second, {**STEPS, **RELU}))
    layers.operators.append(OperatorSpec("SUB", [first, second], image(1, 4, 4, 6)))
    layers.operators.append(OperatorSpec("ADD", [layers.operators[-1].output, first], image(1, 4, 4, 6)))
    layers.last = layers.operators[-1].output
    assert channels_of(layers.rewritten(tmp_path)) == [8, 6, 6, 6, 6]


def some_dead(rng: np.random.Generator, filters: int) -> dict[int, int]:
    return {filter_: int(rng.integers(-900, 900)) for filter_ in range(filters) if rng.random() < 0.5}


@pytest.mark.parametrize("seed", range(8))
def test_random_networks_with_dead_channels(seed: int, tmp_path: Path) -> None:
    layers = Layers(seed, image(1, 12, 11, 3, zero_point=5))
    rng = layers.rng
    before = 0
    for _ in range(4):
        filters = int(rng.integers(4, 20))
        before += filters

        padding = str(rng.choice(["SAME", "VALID"]))
        layers.convolution(filters, int(rng.choice([1, 3])), some_dead(rng, filters), padding=padding)
        if rng.random() < 0.6:
            layers.depthwise(some_dead(rng, filters) if rng.random() < 0.5 else {}, padding="SAME")
    layers.pool(str(rng.choice(["AVERAGE_POOL_2D", "MAX_POOL_2D"])))
    layers.classifier()
    graph = layers.rewritten(tmp_path)
    assert sum(operator.output.shape[-1] for operator in graph.operators if operator.op == "CONV_2D") < before
