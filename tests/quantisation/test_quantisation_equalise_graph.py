"""Equalised graphs and corrected biases: the same function, less noise."""

import numpy as np
import pytest
import torch

from tinyedge.quantisation.equalise_graph import equalise_graph
from tinyedge.quantisation.fake_quantize import FakeQuantize
from tinyedge.quantisation.float_executor import FloatExecutor
from tinyedge.quantisation.noise import reference_of, sqnr_db
from tinyedge.quantisation.observers import min_max_ranges
from tinyedge.quantisation.preconditioning import PLAIN, _is_significant, precondition
from tinyedge.quantisation.weight_correction import correct_weight_rounding
from tinyedge.tflite.graph import Graph, Operator, Tensor

torch.set_num_threads(1)
F32, I32 = np.dtype(np.float32), np.dtype(np.int32)
CONV = {"padding": "SAME", "stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1}
DENSE = {"fused_activation_function": "NONE", "weights_format": "DEFAULT", "keep_num_dims": True}
UNLIKE = np.array([1, 0.01, 0.3, 0.002, 0.1, 1, 0.05, 0.02], np.float32)


class Builder:
    """Operators one after the other on an image of 5x4 with 3 channels; who reads quiet channels leans on them."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.image = Tensor("image", (1, 5, 4, 3), F32)
        self.operators: list[Operator] = []

    def add(self, op: str, inputs, shape, **options) -> Tensor:
        output = Tensor(op.lower(), shape, F32)
        self.operators.append(Operator(op, tuple(inputs), (output,), options, index=len(self.operators)))
        return output

    def constant(self, *shape: int) -> Tensor:
        return Tensor("w", shape, F32, data=self.rng.normal(size=shape).astype(np.float32))

    def integers(self, *values) -> Tensor:
        data = np.array(values, np.int32)
        return Tensor("i", data.shape, I32, data=data)

    def conv(self, source: Tensor, filters: int, activation: str = "NONE", unlike: bool = False):
        weight = self.constant(filters, 1, 1, source.shape[-1])
        bias = self.constant(filters)
        if source.shape[-1] >= len(UNLIKE):
            weight.data[..., : len(UNLIKE)] /= UNLIKE
        if unlike:
            weight.data *= UNLIKE[:, None, None, None]
            bias.data *= UNLIKE
        return self.add(
            "CONV_2D",
            (source, weight, bias),
            (*source.shape[:3], filters),
            fused_activation_function=activation,
            **CONV,
        )

    def depthwise(self, source: Tensor, activation: str = "NONE") -> Tensor:
        channels = source.shape[-1]
        options = CONV | {"fused_activation_function": activation, "depth_multiplier": 1}
        inputs = (source, self.constant(1, 3, 3, channels), self.constant(channels))
        return self.add("DEPTHWISE_CONV_2D", inputs, source.shape, **options)

    def graph(self, output: Tensor) -> Graph:
        return Graph("small", self.operators, (self.image,), (output,))


def residual(b: Builder) -> Tensor:
    stream = b.conv(b.image, 8, unlike=True)
    branch = b.depthwise(b.conv(stream, 8, "RELU"), "RELU")
    added = b.add("ADD", (stream, b.conv(branch, 8, unlike=True)), stream.shape, fused_activation_function="NONE")
    return b.conv(added, 4)


def pooled(b: Builder) -> Tensor:
    source = b.conv(b.image, 8, "RELU", unlike=True)
    padded = b.add("PAD", (source, b.integers([0, 0], [1, 0], [0, 0], [0, 0])), (1, 6, 4, 8))
    pool = {"filter_height": 2, "filter_width": 2, "stride_h": 2, "stride_w": 2, "padding": "VALID"}
    halved = b.add("MAX_POOL_2D", (padded,), (1, 3, 2, 8), fused_activation_function="NONE", **pool)
    mean = b.add("MEAN", (halved, b.integers(1, 2)), (1, 8), keep_dims=False)
    return b.add("FULLY_CONNECTED", (mean, b.constant(3, 8), b.constant(3)), (1, 3), **DENSE)


def flattened(b: Builder) -> Tensor:
    source = b.conv(b.image, 8, "RELU", unlike=True)
    flat = b.add("RESHAPE", (source, b.integers(1, 160)), (1, 160))
    return b.add("FULLY_CONNECTED", (flat, b.constant(3, 160), b.constant(3)), (1, 3), **DENSE)


def joined(b: Builder) -> Tensor:
    one, other = b.conv(b.image, 8, "RELU", unlike=True), b.conv(b.image, 4, "RELU")
    both = b.add("CONCATENATION", (one, other), (1, 5, 4, 12), axis=3, fused_activation_function="NONE")
    return b.conv(both, 6)


def gated(b: Builder) -> Tensor:
    source = b.conv(b.image, 8, "RELU", unlike=True)
    mean = b.add("MEAN", (source, b.integers(1, 2)), (1, 1, 1, 8), keep_dims=True)
    gate = b.add("LOGISTIC", (b.conv(mean, 8),), (1, 1, 1, 8))
    weighed = b.add("MUL", (source, gate), source.shape, fused_activation_function="NONE")
    return b.conv(weighed, 4)


def capped(b: Builder) -> Tensor:
    return b.conv(b.depthwise(b.conv(b.image, 8, "RELU6", unlike=True), "RELU6"), 4)


def decoded(b: Builder) -> Tensor:
    source = b.conv(b.image, 8, "RELU", unlike=True)
    weight = b.constant(6, 2, 2, 8)
    weight.data /= UNLIKE
    strides = {"padding": "VALID", "stride_h": 2, "stride_w": 2}
    inputs = (b.integers(1, 10, 8, 6), weight, source, b.constant(6))
    return b.conv(b.add("TRANSPOSE_CONV", inputs, (1, 10, 8, 6), fused_activation_function="RELU", **strides), 4)


SHAPES = [residual, pooled, flattened, joined, gated, capped, decoded]
SAMPLES = (torch.from_numpy(np.random.default_rng(1).normal(size=(96, 5, 4, 3)).astype(np.float32)),)
OTHERS = (torch.from_numpy(np.random.default_rng(2).normal(size=(64, 5, 4, 3)).astype(np.float32)),)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_function_stays_and_the_noise_falls(shape):
    builder = Builder()
    graph = builder.graph(shape(builder))
    before = [tensor.data.copy() for operator in graph.operators for tensor in operator.inputs if tensor.is_constant]
    equalised = equalise_graph(graph, SAMPLES, 0.75)
    network, scaled = FloatExecutor(graph), FloatExecutor(equalised)
    (wanted,), (found,) = network.outputs(SAMPLES), scaled.outputs(SAMPLES)
    torch.testing.assert_close(found, wanted, atol=2e-5 * float(wanted.abs().max()), rtol=1e-4)
    after = [tensor.data for operator in graph.operators for tensor in operator.inputs if tensor.is_constant]
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))
    figures = [
        sqnr_db(network.outputs(OTHERS), one.outputs(OTHERS, FakeQuantize(one.graph, min_max_ranges(one, SAMPLES))))
        for one in (network, scaled)
    ]
    assert figures[1] > figures[0] + 1


def test_channels_of_an_activation_become_alike():
    builder = Builder()
    graph = builder.graph(pooled(builder))

    def spread(one: Graph) -> float:
        largest = {}

        def keep(tensor, value):
            largest[tensor] = value.detach().abs().amax(dim=tuple(range(value.ndim - 1)))
            return value

        FloatExecutor(one).run(SAMPLES, keep)
        ranges = largest[one.operators[0].output]
        return float(ranges.max() / ranges.min())

    assert spread(equalise_graph(graph, SAMPLES, 1.0)) == pytest.approx(1, rel=1e-3)
    assert spread(graph) > 50


def test_what_keeps_no_factors_is_left_alone():
    builder = Builder()
    source = builder.conv(builder.image, 8, unlike=True)
    graph = builder.graph(builder.conv(builder.add("LOGISTIC", (source,), source.shape), 4))
    assert equalise_graph(graph, SAMPLES, 1.0) is graph


def test_the_shift_of_rounded_weights_goes_into_the_biases():
    builder = Builder()
    graph = builder.graph(builder.conv(builder.image, 8))
    shifted = (SAMPLES[0] + 5,)
    corrected = correct_weight_rounding(graph, shifted)
    wanted = FloatExecutor(graph).outputs(shifted)[0]

    def shift(one: Graph) -> float:
        fine = dict.fromkeys((one.inputs[0], one.operators[0].output), (-1000.0, 1000.0))
        quantiser = FakeQuantize(one, fine, frozenset(fine))  # Weights alone are rounded coarsely.
        return float((FloatExecutor(one).outputs(shifted, quantiser)[0] - wanted).mean(dim=(0, 1, 2)).norm())

    assert shift(corrected) < 0.2 * shift(graph)


def test_the_form_of_least_noise_is_chosen():
    builder = Builder()
    graph = builder.graph(residual(builder))
    found = precondition(graph, SAMPLES, *(reference_of(FloatExecutor(graph), one) for one in (SAMPLES, OTHERS)))
    assert found.sqnr_db[found.name] == max(found.sqnr_db.values())
    assert found.sqnr_db[found.name] > found.sqnr_db[PLAIN] + 1
    assert len(found.sqnr_db) == 4


def test_channels_in_another_order_keep_their_own_factors():
    builder = Builder()
    source = builder.conv(builder.image, 8, "RELU", unlike=True)
    backwards = (builder.integers(0, 0, 0, -1), builder.integers(0, 0, 0, 0), builder.integers(1, 1, 1, -1))
    sliced = builder.add("STRIDED_SLICE", (source, *backwards), source.shape, begin_mask=15, end_mask=15)
    graph = builder.graph(builder.conv(sliced, 4))
    (wanted,), (found,) = (FloatExecutor(one).outputs(SAMPLES) for one in (graph, equalise_graph(graph, SAMPLES, 0.75)))
    torch.testing.assert_close(found, wanted, atol=2e-5 * float(wanted.abs().max()), rtol=1e-4)


def test_a_form_whose_gain_is_chance_is_not_chosen():
    assert not _is_significant(torch.tensor([1.0, -0.9, 0.8, -0.7]))
    assert not _is_significant(torch.zeros(8))
    assert _is_significant(torch.tensor([0.2, 0.1, 0.3, 0.2]))
