"""Every operator of the PyTorch network against LiteRT's float kernel."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from tinyedge.errors import ModelError
from tinyedge.quantisation import float_executor
from tinyedge.quantisation.float_executor import FloatExecutor
from tinyedge.runtimes.litert_session import run_tflite
from tinyedge.tflite.graph import Graph, Operator, State, Tensor
from tinyedge.tflite.writer import tflite_bytes

F32, I32 = np.dtype(np.float32), np.dtype(np.int32)
RNG = np.random.default_rng(0)
CONV = {
    "stride_h": 1,
    "stride_w": 1,
    "dilation_h_factor": 1,
    "dilation_w_factor": 1,
    "fused_activation_function": "NONE",
}


def activation(*shape: int) -> Tensor:
    return Tensor("x", shape, F32)


def constant(*shape: int) -> Tensor:
    return Tensor("w", shape, F32, data=RNG.normal(size=shape).astype(np.float32))


def integers(*values) -> Tensor:
    array = np.array(values, np.int32)
    return Tensor("i", array.shape, I32, data=array)


def one_operator(op: str, source: Tensor, others, shape, **options) -> Graph:
    output = activation(*shape)
    return Graph(op.lower(), [Operator(op, (source, *others), (output,), options)], (source,), (output,))


def convolutions():
    sizes = itertools.product(("SAME", "VALID"), (1, 2, 3), ("NONE", "RELU", "RELU6"))
    for padding, stride, fused in sizes:
        rows, columns = (
            -(-(9 - (3 - 1) * (padding == "VALID")) // stride),
            -(-(7 - 4 * (padding == "VALID")) // stride),
        )
        options = CONV | {
            "padding": padding,
            "stride_h": stride,
            "stride_w": stride,
            "fused_activation_function": fused,
        }
        x = activation(1, 9, 7, 4)
        yield one_operator("CONV_2D", x, (constant(6, 3, 5, 4), constant(6)), (1, rows, columns, 6), **options)
        options |= {"depth_multiplier": 1}
        weight, bias = constant(1, 3, 5, 4), constant(4)
        yield one_operator("DEPTHWISE_CONV_2D", x, (weight, bias), (1, rows, columns, 4), **options)
        pool = {key: options[key] for key in ("padding", "stride_h", "stride_w", "fused_activation_function")}
        pool |= {"filter_height": 3, "filter_width": 5}
        for op in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
            yield one_operator(op, x, (), (1, rows, columns, 4), **pool)


def others():
    x, fused = activation(1, 5, 6), {"fused_activation_function": "NONE"}
    dense = {"weights_format": "DEFAULT", "fused_activation_function": "RELU"}
    yield one_operator("FULLY_CONNECTED", x, (constant(4, 6), constant(4)), (1, 5, 4), keep_num_dims=True, **dense)
    yield one_operator("FULLY_CONNECTED", x, (constant(4, 30), None), (1, 4), keep_num_dims=False, **dense)
    yield one_operator("BATCH_MATMUL", x, (x,), (1, 5, 5), adj_x=False, adj_y=True)
    yield one_operator("BATCH_MATMUL", x, (x,), (1, 6, 6), adj_x=True, adj_y=False)
    yield one_operator("SOFTMAX", x, (), (1, 5, 6), beta=0.7)
    for op in ("ADD", "SUB", "MUL"):
        yield one_operator(op, x, (constant(1, 1, 6),), (1, 5, 6), **fused)
    yield one_operator("ADD", x, (x,), (1, 5, 6), fused_activation_function="RELU6")
    for op in ("RELU", "RELU6", "LOGISTIC", "TANH", "HARD_SWISH"):
        yield one_operator(op, x, (), (1, 5, 6))
    for approximate in (False, True):
        yield one_operator("GELU", x, (), (1, 5, 6), approximate=approximate)
    image = activation(1, 3, 5, 2)
    yield one_operator("MEAN", image, (integers(1, 2),), (1, 2), keep_dims=False)
    yield one_operator("MEAN", image, (integers(1, 2),), (1, 1, 1, 2), keep_dims=True)
    yield one_operator("PAD", image, (integers([0, 0], [1, 2], [0, 3], [0, 0]),), (1, 6, 8, 2))
    yield one_operator("RESHAPE", image, (integers(1, 15, 2),), (1, 15, 2))
    yield one_operator("TRANSPOSE", image, (integers(0, 2, 1, 3),), (1, 5, 3, 2))


def run_litert(graph: Graph, images: np.ndarray, folder) -> np.ndarray:
    path = folder / "model.tflite"
    path.write_bytes(tflite_bytes(graph))
    return run_tflite(path, images)


@pytest.mark.parametrize("graph", [*convolutions(), *others()], ids=lambda graph: graph.name)
def test_an_operator_equals_litert(graph, tmp_path):
    images = (3 * RNG.normal(size=(3, *graph.inputs[0].shape[1:]))).astype(np.float32)
    with torch.no_grad():
        found = FloatExecutor(graph)(torch.from_numpy(images)).numpy()
    expected = run_litert(graph, images, tmp_path)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=1e-5)


def test_a_hook_sees_and_changes_every_value():
    x, weight, bias = activation(1, 4), constant(3, 4), constant(3)
    options = {"weights_format": "DEFAULT", "fused_activation_function": "NONE", "keep_num_dims": False}
    graph = one_operator("FULLY_CONNECTED", x, (weight, bias), (1, 3), **options)
    seen = []

    def double(tensor, value):
        seen.append(tensor)
        return 2 * value

    network, images = FloatExecutor(graph), torch.randn(5, 4)
    found = network(images, double)
    assert seen == [x, weight, bias, graph.outputs[0]]
    expected = 2 * (2 * images @ (2 * torch.from_numpy(weight.data)).T + 2 * torch.from_numpy(bias.data))
    torch.testing.assert_close(found, expected)


def test_weights_are_parameters_and_the_graph_keeps_its_own():
    weight = constant(3, 4)
    options = {"weights_format": "DEFAULT", "fused_activation_function": "NONE", "keep_num_dims": False}
    graph = one_operator("FULLY_CONNECTED", activation(1, 4), (weight, constant(3)), (1, 3), **options)
    before, network = weight.data.copy(), FloatExecutor(graph)
    network(torch.randn(2, 4)).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    with torch.no_grad():
        network.weight(weight).zero_()
    assert np.array_equal(weight.data, before)


def test_what_cannot_be_quantised_is_refused():
    x = activation(1, 4)
    with pytest.raises(ModelError, match=r"operator 0 \(ERF\).*known are ABS"):
        FloatExecutor(one_operator("ERF", x, (), (1, 4)))
    indices = Tensor("i", (1, 4), I32)
    with pytest.raises(ModelError, match="input 'i' of whole is int32"):
        FloatExecutor(Graph("whole", [], (indices,), (indices,)))
    state = State("memory", x, x, np.zeros((1, 4), np.float32))
    with pytest.raises(ModelError, match="state 'memory'"):
        FloatExecutor(Graph("streaming", [], (x,), (x,), states=(state,)))
    graph = one_operator("ADD", x, (x,), (1, 4), fused_activation_function="TANH")
    with pytest.raises(ModelError, match="TANH"):
        FloatExecutor(graph)(torch.zeros(1, 4))


def two_inputs_two_outputs() -> tuple[Graph, Tensor, Tensor]:
    x, y = activation(1, 4), activation(1, 4)
    total, twice = activation(1, 4), activation(1, 4)
    fused = {"fused_activation_function": "NONE"}
    operators = [Operator("ADD", (x, y), (total,), fused), Operator("ADD", (total, total), (twice,), fused)]
    return Graph("two", operators, (x, y), (total, twice)), total, twice


def test_several_inputs_and_outputs():
    graph, _, _ = two_inputs_two_outputs()
    network = FloatExecutor(graph)
    x, y = torch.randn(130, 4), torch.randn(130, 4)
    total, twice = network.outputs((x, y))
    assert network.batch_size == 64
    assert torch.equal(total, x + y)
    assert torch.equal(twice, 2 * (x + y))


@pytest.mark.parametrize(
    ("shapes", "batch_size"),
    [(((1, 6, 4), (1, 24), (1, 24)), 64), (((1, 6, 4), (6, 4), (1, 24)), 64), (((6, 4), (2, 12), (2, 12)), 1)],
)
def test_a_graph_whose_shapes_leave_no_room_for_a_batch_runs_sample_by_sample(shapes, batch_size):
    first, second, third = shapes
    x, y, z = activation(*first), activation(*second), activation(*third)
    target = Tensor("t", (len(second),), I32, data=np.array(second, np.int32))
    again = Tensor("t", (len(third),), I32, data=np.array(third, np.int32))
    operators = [Operator("RESHAPE", (x, target), (y,)), Operator("RESHAPE", (y, again), (z,))]
    network = FloatExecutor(Graph("rows", operators, (x,), (z,)))
    samples = torch.randn(70, 24).reshape(70, *(first[1:] if first[0] == 1 else first))
    assert network.batch_size == batch_size
    (found,) = network.outputs((samples,))
    assert found.shape == (70, *(third[1:] if third[0] == 1 else third))
    assert torch.equal(found.reshape(70, -1), samples.reshape(70, -1))


def test_of_graphs_that_differ_in_biases_alone_one_is_asked_about_batches(monkeypatch):
    def pooled(axis: int) -> Graph:
        x = activation(1, 9, 7, 4)
        return one_operator("MEAN", x, (integers(axis),), (1, 9, 4) if axis == 2 else (1, 7, 4), keep_dims=False)

    def with_bias(graph: Graph, bias: Tensor) -> Graph:
        (operator,) = graph.operators
        return replace(graph, operators=[replace(operator, inputs=(*operator.inputs[:2], bias))])

    asked = []
    takes_batches = FloatExecutor._takes_batches
    monkeypatch.setattr(FloatExecutor, "_takes_batches", lambda self: asked.append(1) or takes_batches(self))
    monkeypatch.setattr(float_executor, "_known_to_batch", {})
    first = next(convolutions())
    for graphs, questions in (
        ((first, with_bias(first, constant(6))), 1),
        ((next(convolutions()), next(convolutions())), 3),
        ((pooled(1), pooled(2)), 5),
    ):
        assert [FloatExecutor(graph).batch_size for graph in graphs] == [64, 64]
        assert len(asked) == questions


def test_weights_that_hide_what_a_graph_does_to_batches_answer_for_no_others():
    """Of zeros a norm over the whole batch is that of each sample."""

    def normed(weight: float) -> Graph:
        x, y, z = activation(1, 8), activation(1, 8), activation(1, 8)
        flat, unit = activation(8), activation(8)
        scale = Tensor("s", (8,), F32, data=np.full(8, weight, np.float32))
        shapes = [Tensor("t", (len(shape),), I32, data=np.array(shape, np.int32)) for shape in ((8,), (1, 8))]
        operators = [
            Operator("MUL", (x, scale), (y,), {"fused_activation_function": "NONE"}),
            Operator("RESHAPE", (y, shapes[0]), (flat,)),
            Operator("L2_NORMALIZATION", (flat,), (unit,), {"fused_activation_function": "NONE"}),
            Operator("RESHAPE", (unit, shapes[1]), (z,)),
        ]
        return Graph("normed", operators, (x,), (z,))

    assert FloatExecutor(normed(0.0)).batch_size in (1, 64)
    assert FloatExecutor(normed(1.0)).batch_size == 1
