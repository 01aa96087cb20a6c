"""Every rewrite leaves the network's function, as PyTorch computes both graphs, and the form that is promised."""

import numpy as np
import pytest
import torch
from exports.tiny_graphs import CONV

from tinyedge.conversion.canonical import canonical
from tinyedge.conversion.intake import run_graph
from tinyedge.quantisation.float_executor import FloatExecutor
from tinyedge.tflite.graph import Graph, Operator, Tensor

F32 = np.dtype(np.float32)
ADD = {"fused_activation_function": "NONE", "pot_scale_int16": True}


def activation(name: str, *shape: int) -> Tensor:
    return Tensor(name, shape, F32)


def constant(*shape: int, seed: int = 0) -> Tensor:
    data = np.random.default_rng(seed).standard_normal(shape, np.float32)
    return Tensor("constant", shape, F32, data=data)


def integers(*values: int) -> Tensor:
    data = np.array(values, np.int32)
    return Tensor("integers", data.shape, data.dtype, data=data)


def transposed(x: Tensor, *order: int) -> tuple[Operator, Tensor]:
    y = activation("transposed", *(x.shape[axis] for axis in order))
    return Operator("TRANSPOSE", (x, integers(*order)), (y,)), y


def rewritten(operators: list[Operator], source: Tensor, output: Tensor) -> Graph:
    """Return the canonical graph, after checking that it computes the same."""
    graph = Graph("g", operators, (source,), (output,))
    found = canonical(graph, ["image"], ["logits"])
    assert (found.inputs[0].name, found.outputs[0].name) == ("image", "logits")
    assert (found.inputs[0].shape, found.outputs[0].shape) == (source.shape, output.shape)
    x = torch.from_numpy(np.random.default_rng(1).standard_normal(source.shape, np.float32))
    with torch.no_grad():
        expected, computed = FloatExecutor(graph)(x), FloatExecutor(found)(x)
    assert computed.shape == expected.shape
    torch.testing.assert_close(computed, expected, rtol=1e-5, atol=1e-5)
    return found


@pytest.mark.parametrize("adj_y", [False, True])
@pytest.mark.parametrize("bias_first", [None, False, True])
def test_a_product_with_a_constant_is_fully_connected(adj_y, bias_first):
    x, y, z = activation("x", 1, 5, 7), activation("y", 1, 5, 3), activation("z", 1, 5, 3)
    matrix = constant(3, 7) if adj_y else constant(7, 3)
    operators = [Operator("BATCH_MATMUL", (x, matrix), (y,), {"adj_x": False, "adj_y": adj_y})]
    if bias_first is not None:
        bias = constant(1, 1, 3, seed=2)
        operators.append(Operator("ADD", (bias, y) if bias_first else (y, bias), (z,), ADD))
    found = rewritten(operators, x, y if bias_first is None else z)
    assert found.histogram() == {"FULLY_CONNECTED": 1}
    assert found.operators[0].inputs[1].shape == (3, 7)


def test_two_products_of_one_tensor_keep_their_own_biases():
    x = activation("x", 1, 4, 6)
    products = [activation(f"p{i}", 1, 4, 6) for i in range(2)]
    sums = [activation(f"s{i}", 1, 4, 6) for i in range(2)]
    out = activation("out", 1, 4, 6)
    options = {"adj_x": False, "adj_y": False}
    operators = [Operator("BATCH_MATMUL", (x, constant(6, 6, seed=i)), (p,), options) for i, p in enumerate(products)]
    operators += [
        Operator("ADD", (p, constant(6, seed=5 + i)), (s,), ADD)
        for i, (p, s) in enumerate(zip(products, sums, strict=True))
    ]
    operators.append(Operator("MUL", (sums[0], sums[1]), (out,), {"fused_activation_function": "NONE"}))
    assert rewritten(operators, x, out).histogram() == {"FULLY_CONNECTED": 2, "MUL": 1}


@pytest.mark.parametrize("case", ["two activations", "adj_x", "one matrix a batch", "not one value a channel"])
def test_other_products_and_additions_stay(case):
    x, y, z = activation("x", 1, 4, 4), activation("y", 1, 4, 4), activation("z", 1, 4, 4)
    matrix = {"two activations": x, "one matrix a batch": constant(2, 4, 4)}.get(case, constant(4, 4))
    if case == "one matrix a batch":
        x, y = activation("x", 2, 4, 4), activation("y", 2, 4, 4)
    product = Operator("BATCH_MATMUL", (x, matrix), (y,), {"adj_x": case == "adj_x", "adj_y": False})
    if case != "not one value a channel":
        assert rewritten([product], x, y).histogram() == {"BATCH_MATMUL": 1}
        return
    addition = Operator("ADD", (y, constant(4, 4)), (z,), ADD)
    assert rewritten([product, addition], x, z).histogram() == {"ADD": 1, "FULLY_CONNECTED": 1}


def test_a_product_that_others_read_too_keeps_its_addition_apart():
    x, y, z, out = (activation(name, 1, 4, 4) for name in ("x", "y", "z", "out"))
    operators = [
        Operator("BATCH_MATMUL", (x, constant(4, 4)), (y,), {"adj_x": False, "adj_y": False}),
        Operator("ADD", (y, constant(4, seed=3)), (z,), ADD),
        Operator("MUL", (y, z), (out,), {"fused_activation_function": "NONE"}),
    ]
    assert rewritten(operators, x, out).histogram() == {"ADD": 1, "FULLY_CONNECTED": 1, "MUL": 1}


@pytest.mark.parametrize("keep_dims", [False, True])
def test_a_transpose_before_a_mean_of_the_map_goes(keep_dims):
    # As onnx2tf 2 ends a network: convolution, transposition to channels first, clip, mean.
    x, y = activation("x", 1, 4, 3, 5), activation("y", 1, 4, 3, 6)
    convolution = Operator("CONV_2D", (x, constant(6, 1, 1, 5), constant(6)), (y,), CONV)
    transpose, moved = transposed(y, 0, 3, 1, 2)
    clipped = activation("clipped", *moved.shape)
    mean = activation("mean", *((1, 6, 1, 1) if keep_dims else (1, 6)))
    operators = [
        convolution,
        transpose,
        Operator("RELU6", (moved,), (clipped,)),
        Operator("MEAN", (clipped, integers(2, 3)), (mean,), {"keep_dims": keep_dims}),
    ]
    found = rewritten(operators, x, mean)
    assert found.histogram() == {"CONV_2D": 1, "MEAN": 1, **({"TRANSPOSE": 1} if keep_dims else {})}
    assert found.operators[0].options["fused_activation_function"] == "RELU6"
    assert found.operators[1].inputs[1].data.tolist() == [1, 2]


def test_transposes_that_undo_each_other_go():
    x = activation("x", 1, 4, 3, 5)
    there, moved = transposed(x, 0, 3, 1, 2)
    squashed = activation("squashed", *moved.shape)
    back, y = transposed(squashed, 0, 2, 3, 1)
    out = activation("out", *x.shape)
    operators = [
        there,
        Operator("TANH", (moved,), (squashed,)),
        back,
        Operator("ADD", (x, y), (out,), ADD),
    ]
    assert rewritten(operators, x, out).histogram() == {"ADD": 1, "TANH": 1}


@pytest.mark.parametrize("reader", ["RESHAPE", "ADD", "MEAN", "output"])
def test_a_transpose_that_something_needs_stays(reader):
    x = activation("x", 1, 4, 3, 5)
    transpose, y = transposed(x, 0, 3, 1, 2)
    operators, out = [transpose], y
    if reader == "RESHAPE":
        out = activation("out", 1, 60)
        operators.append(Operator("RESHAPE", (y, integers(1, 60)), (out,), {"new_shape": (1, 60)}))
    elif reader == "ADD":
        out = activation("out", *y.shape)
        operators.append(Operator("ADD", (y, y), (out,), ADD))
    elif reader == "MEAN":  # Of the channels after an exchange of height and width: the order would be another.
        transpose, y = transposed(x, 0, 3, 2, 1)
        out = activation("out", 1, 3, 4)
        operators = [transpose, Operator("MEAN", (y, integers(1)), (out,), {"keep_dims": False})]
    found = rewritten(operators, x, out)
    assert found.histogram()["TRANSPOSE"] == 1
    assert "new_shape" not in found.operators[-1].options


def test_an_activation_that_others_do_not_read_is_fused_and_no_other():
    x, y, z, out = (activation(name, 1, 4, 4, 3) for name in ("x", "y", "z", "out"))
    convolution = Operator("CONV_2D", (x, constant(3, 1, 1, 3), constant(3)), (y,), CONV)
    relu = Operator("RELU", (y,), (z,))
    assert rewritten([convolution, relu], x, z).histogram() == {"CONV_2D": 1}
    addition = Operator("ADD", (y, z), (out,), ADD)
    assert rewritten([convolution, relu, addition], x, out).histogram() == {"ADD": 1, "CONV_2D": 1, "RELU": 1}


def test_a_choice_broadcasts_and_what_is_true_is_one():
    x, y, mask, product = (activation(name, 1, 4, 6) for name in ("x", "y", "mask", "product"))
    above = Tensor("above", x.shape, np.dtype(np.bool_))
    operators = [
        Operator("GREATER", (x, constant(6)), (above,)),
        Operator("CAST", (above,), (mask,), {"in_data_type": "BOOL", "out_data_type": "FLOAT32"}),
        Operator("MUL", (mask, x), (product,), {"fused_activation_function": "NONE"}),
        Operator("SELECT", (above, product, x), (y,)),
    ]
    found = canonical(Graph("g", operators, (x,), (y,)), ["x"], ["y"])
    assert [operator.op for operator in found.operators] == ["GREATER", "SELECT_V2", "MUL", "SELECT_V2"]
    values = np.random.default_rng(1).standard_normal((3, 4, 6), np.float32)
    (expected,) = run_graph(Graph("g", operators, (x,), (y,)), [values])
    np.testing.assert_array_equal(run_graph(found, [values])[0], expected)
