"""The trainable integers against the kernels: the same C that goes onto the board."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch

from tinyedge.errors import ModelError
from tinyedge.ops import OPERATORS
from tinyedge.ops.arithmetic.integers import requantise
from tinyedge.quantisation.integer_executor import IntegerExecutor
from tinyedge.runtimes.aot import AotRuntime
from tinyedge.tflite import fixed_point
from tinyedge.tflite.graph import Graph, Operator, Quantisation, Tensor
from tinyedge.tflite.writer import tflite_bytes

I8, I32 = np.dtype(np.int8), np.dtype(np.int32)
RNG = np.random.default_rng(5)
STRIDES = {"stride_h": 2, "stride_w": 1, "padding": "SAME"}
CONV = STRIDES | {"dilation_h_factor": 1, "dilation_w_factor": 1, "fused_activation_function": "RELU6"}

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="cc is not installed: run `make system`")


def quantisation(scale: float, zero_point: int = 0) -> Quantisation:
    return Quantisation(np.array([scale], np.float32), np.array([zero_point], np.int32))


def activation(*shape: int, scale: float = 0.05, zero_point: int = -7) -> Tensor:
    return Tensor("x", shape, I8, quantisation(scale, zero_point))


def weights(*shape: int, axis: int) -> Tensor:
    scales = RNG.uniform(0.002, 0.02, shape[axis]).astype(np.float32)
    codes = RNG.integers(-127, 128, shape).astype(np.int8)
    return Tensor("w", shape, I8, Quantisation(scales, np.zeros(shape[axis], np.int32), axis), codes)


def bias(length: int) -> Tensor:
    return Tensor("b", (length,), I32, data=RNG.integers(-20000, 20000, length).astype(np.int32))


def constant(*shape: int) -> Tensor:
    return Tensor("c", shape, I8, quantisation(0.03, 5), RNG.integers(-128, 128, shape).astype(np.int8))


def integers(*values) -> Tensor:
    array = np.array(values, np.int32)
    return Tensor("i", array.shape, I32, data=array)


def one_operator(op: str, source: Tensor, others, output: Tensor, **options) -> Graph:
    return Graph(op.lower(), [Operator(op, (source, *others), (output,), options)], (source,), (output,))


def gelu_graph(source: Tensor, output: Tensor) -> Graph:
    """The lookup that an export writes for GELU."""
    real_source, real_output = (dataclasses.replace(tensor, dtype=np.dtype(np.float32)) for tensor in (source, output))
    gelu = Operator("GELU", (real_source,), (real_output,), {"approximate": False})
    expand = OPERATORS["GELU"].expand
    assert expand is not None
    return Graph("gelu", expand(gelu, {real_source: source, real_output: output}), (source,), (output,))


def graphs():
    x = activation(1, 9, 7, 6)
    out = activation(1, 5, 7, 8, scale=0.04, zero_point=-100)
    yield "conv", one_operator("CONV_2D", x, (weights(8, 3, 5, 6, axis=0), bias(8)), out, **CONV)
    yield "conv without bias", one_operator("CONV_2D", x, (weights(8, 3, 5, 6, axis=0),), out, **CONV)
    out = activation(1, 5, 7, 6, scale=0.1)
    options = CONV | {"depth_multiplier": 1, "fused_activation_function": "NONE"}
    yield "depthwise", one_operator("DEPTHWISE_CONV_2D", x, (weights(1, 3, 3, 6, axis=3), bias(6)), out, **options)
    # Sums beyond 2^24, which float32 would round, and a factor above 1, which shifts left.
    wide, dense = activation(1, 3000), {"fused_activation_function": "NONE", "keep_num_dims": False}
    full = weights(5, 3000, axis=0)
    full = dataclasses.replace(full, data=np.full_like(full.data, 127))
    yield "long sums", one_operator("FULLY_CONNECTED", wide, (full, bias(5)), activation(1, 5, scale=200.0), **dense)
    coarse = activation(1, 11, scale=3.0, zero_point=-128)
    fine = activation(1, 4, scale=0.002)
    yield "left shift", one_operator("FULLY_CONNECTED", coarse, (weights(4, 11, axis=0), bias(4)), fine, **dense)
    x = activation(1, 5, 3, 4)
    for op in ("ADD", "SUB", "MUL"):
        result = activation(1, 5, 3, 4, scale=0.07, zero_point=20)
        yield op, one_operator(op, x, (constant(1, 1, 1, 4),), result, fused_activation_function="RELU")
        yield f"{op} of itself", one_operator(op, x, (x,), result, fused_activation_function="NONE")
    for adjoint in (False, True):
        square = activation(1, 13, 13)
        result = activation(1, 13, 13, scale=1.5, zero_point=3)
        yield f"product {adjoint}", one_operator("BATCH_MATMUL", square, (square,), result, adj_x=False, adj_y=adjoint)
    probabilities = Tensor("p", (1, 5, 3, 130), I8, quantisation(1 / 256, -128))
    for scale in (0.01, 0.05, 0.7):
        yield (
            f"softmax {scale}",
            one_operator("SOFTMAX", activation(1, 5, 3, 130, scale=scale), (), probabilities, beta=1.0),
        )
    for keep, shape in ((True, (1, 1, 1, 4)), (False, (1, 4))):
        result = activation(*shape, scale=0.02, zero_point=9)
        yield f"mean {keep}", one_operator("MEAN", x, (integers(1, 2),), result, keep_dims=keep)
    for op in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
        pool = STRIDES | {"filter_height": 3, "filter_width": 2, "fused_activation_function": "RELU"}
        yield op, one_operator(op, x, (), activation(1, 3, 3, 4), **pool)
    for op in ("RELU", "RELU6", "HARD_SWISH"):
        yield op, one_operator(op, x, (), activation(1, 5, 3, 4, scale=0.06, zero_point=-30))
    yield "LOGISTIC", one_operator("LOGISTIC", x, (), activation(1, 5, 3, 4, scale=1 / 256, zero_point=-128))
    yield "TANH", one_operator("TANH", x, (), activation(1, 5, 3, 4, scale=1 / 128, zero_point=0))
    yield "GELU", gelu_graph(x, activation(1, 5, 3, 4, scale=0.06, zero_point=-100))
    yield "PAD", one_operator("PAD", x, (integers([0, 0], [1, 2], [0, 3], [0, 0]),), activation(1, 8, 6, 4))
    rows, result = activation(1, 15, 4), activation(1, 15, 4, scale=0.08)
    steps = [Operator("RESHAPE", (x, integers(1, 15, 4)), (rows,)), Operator("RELU", (rows,), (result,))]
    yield "RESHAPE", Graph("reshape", steps, (x,), (result,))
    yield "TRANSPOSE", one_operator("TRANSPOSE", x, (integers(0, 2, 3, 1),), activation(1, 3, 4, 5))


@pytest.mark.parametrize(("name", "graph"), graphs(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_operator_gives_the_kernel_s_integers(name, graph, tmp_path):
    model = tmp_path / "model.tflite"
    model.write_bytes(tflite_bytes(graph))
    codes = RNG.integers(-128, 128, (40, *graph.inputs[0].shape[1:])).astype(np.int8)
    codes[0], codes[1] = -128, 127
    with torch.no_grad():
        simulated = IntegerExecutor(graph)(torch.from_numpy(codes).float()).numpy()
    expected = AotRuntime(model).run(codes)
    assert np.array_equal(simulated.reshape(expected.shape), expected)
    assert len(np.unique(expected)) > 1 or name == "SUB of itself"


def test_requantise_equals_the_fixed_point_rules_on_halves_and_extremes():
    values = torch.tensor([0, 1, -1, 3, -3, 127, -128, 2**20, -(2**20), 2**22, -(2**22), 2**30, -(2**30), 2**31 - 1])
    for factor in (0.5, 0.25, 0.3, 2**-20, 1.0, 1.7, 6.0, 1e-9):
        multiplier, shift = fixed_point.quantise_multiplier(factor)
        expected = [fixed_point.requantise(int(value), multiplier, shift) for value in values]
        for chosen in (values, values[:9]):  # The others keep to what float64 represents exactly.
            found = requantise(chosen, torch.tensor(multiplier), torch.tensor(shift))
            assert found.tolist() == expected[: len(chosen)]


def test_an_untrained_network_returns_the_graph_that_it_was_made_of():
    graph = dict(graphs())["conv"]
    trained = IntegerExecutor(graph).trained_graph()
    assert tflite_bytes(trained) == tflite_bytes(graph)


def test_gradients_are_those_of_the_real_network_within_the_limits():
    graph = dict(graphs())["left shift"]
    network = IntegerExecutor(graph)
    codes = torch.full((1, 11), -128.0, requires_grad=True)
    out = network(codes)
    out.sum().backward()
    operator = graph.operators[0]
    weight = operator.inputs[1]
    scale = 3.0 * weight.quantisation.scales / operator.output.quantisation.scale
    inside = ((out > -128) & (out < 127)).numpy()[0]
    assert torch.allclose(
        codes.grad[0], torch.from_numpy((weight.data * scale[:, None])[inside].sum(0)).float(), rtol=1e-4
    )
    assert torch.equal(network.biases["0"].grad, torch.from_numpy(inside).double())


def test_training_changes_what_the_kernels_compute_in_the_same_way(tmp_path):
    graph = dict(graphs())["conv"]
    network = IntegerExecutor(graph)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * 3)
    model = tmp_path / "model.tflite"
    model.write_bytes(tflite_bytes(network.trained_graph()))
    codes = RNG.integers(-128, 128, (20, 9, 7, 6)).astype(np.int8)
    with torch.no_grad():
        assert np.array_equal(network(torch.from_numpy(codes).float()).numpy(), AotRuntime(model).run(codes))


def test_an_unknown_operator_is_named():
    x = activation(1, 4)
    graph = one_operator("EXP", x, (), activation(1, 4))
    with pytest.raises(ModelError, match="EXP"):
        IntegerExecutor(graph)
