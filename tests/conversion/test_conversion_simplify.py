"""Transpositions and reshapes that go, and the function that stays, as LiteRT computes both graphs."""

import numpy as np
import pytest
from exports.tiny_graphs import CONV

from tinyedge.conversion.intake import _simplified, run_graph
from tinyedge.tflite.graph import Graph, Operator, Tensor

F32 = np.dtype(np.float32)
FIRST, LAST = (0, 3, 1, 2), (0, 2, 3, 1)  # Channels.
PLAIN = {"fused_activation_function": "NONE"}
DENSE = {
    "fused_activation_function": "NONE",
    "weights_format": "DEFAULT",
    "keep_num_dims": False,
    "asymmetric_quantize_inputs": False,
    "quantized_bias_type": "FLOAT32",
}


def constant(data):
    data = np.asarray(data)
    return Tensor("constant", data.shape, data.dtype, data=data)


def random(*shape):
    return constant(np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32))


class Network:
    """A graph that grows operator by operator; each returns its output."""

    def __init__(self, *shape):
        self.source = Tensor("x", shape, F32)
        self.operators = []

    def add(self, op, inputs, shape, options=PLAIN):
        output = Tensor(f"t{len(self.operators)}", shape, F32)
        self.operators.append(Operator(op, tuple(inputs), (output,), dict(options)))
        return output

    def transposed(self, x, order):
        shape = tuple(x.shape[axis] for axis in order)
        return self.add("TRANSPOSE", [x, constant(np.array(order, np.int32))], shape, {})

    def reshaped(self, x, *shape):
        return self.add("RESHAPE", [x, constant(np.array(shape, np.int32))], shape, {})

    def convolved(self, x):
        channels = x.shape[-1]
        return self.add("CONV_2D", [x, random(channels, 3, 3, channels), random(channels)], x.shape, CONV)

    def simplified(self, output):
        """Check that the function stays; return the operators' names and the orders of the input and the output."""
        graph = Graph("g", self.operators, (self.source,), (output,))
        found, (order,) = _simplified(graph, ["in"], ["out"])
        x = np.random.default_rng(1).standard_normal((2, *self.source.shape[1:]), np.float32)
        (expected,), (computed,) = run_graph(graph, [x]), run_graph(found, [np.ascontiguousarray(x.transpose(order))])
        assert (found.inputs[0].name, found.outputs[0].name) == ("in", "out")
        if computed.shape != expected.shape:
            computed = computed.transpose(0, 3, 1, 2) if computed.ndim == 4 else computed.transpose(0, 2, 1)
        np.testing.assert_allclose(computed, expected, atol=1e-5 * np.abs(expected).max())
        return [operator.op for operator in found.operators], order


def test_transpositions_of_the_whole_input_and_output_go():
    net = Network(1, 3, 6, 5)
    y = net.convolved(net.transposed(net.source, LAST))
    assert net.simplified(net.transposed(y, FIRST)) == (["CONV_2D"], LAST)


@pytest.mark.parametrize("op", ["ADD", "MUL", "SUB", "MAXIMUM"])
def test_one_follows_what_takes_two_of_them(op):
    net = Network(1, 6, 5, 3)
    y = net.transposed(net.convolved(net.source), FIRST)
    squashed = net.add("LOGISTIC", [y], y.shape, {})
    y = net.transposed(net.add(op, [y, squashed], y.shape, PLAIN if op != "MAXIMUM" else {}), LAST)
    names, _ = net.simplified(net.convolved(y))
    assert names == ["CONV_2D", "LOGISTIC", op, "CONV_2D"]


def test_one_follows_a_choice_and_what_it_is_made_by():
    net = Network(1, 6, 5, 3)
    y = net.transposed(net.convolved(net.source), FIRST)
    above = Tensor("above", y.shape, np.dtype(np.bool_))
    net.operators.append(Operator("GREATER", (y, random(3, 1, 1)), (above,)))
    scaled = net.add("MUL", [y, random(1)], y.shape)
    chosen = net.add("SELECT_V2", [above, y, scaled], y.shape, {})
    names, _ = net.simplified(net.convolved(net.transposed(chosen, LAST)))
    assert sorted(names) == ["CONV_2D", "CONV_2D", "GREATER", "MUL", "SELECT_V2"]


def test_one_follows_a_concatenation_and_a_constant_for_each_channel():
    net = Network(1, 6, 5, 3)
    y = net.transposed(net.convolved(net.source), FIRST)
    both = net.add("CONCATENATION", [y, y], (1, 6, 6, 5), {"axis": 1, **PLAIN})
    slopes = net.add("PRELU", [both, random(6, 1, 1)], both.shape, {})
    names, _ = net.simplified(net.convolved(net.transposed(slopes, LAST)))
    assert names == ["CONV_2D", "CONCATENATION", "PRELU", "CONV_2D"]


def test_one_stays_before_a_constant_of_more_axes():
    net = Network(1, 5, 4)
    y = net.transposed(net.convolved(net.reshaped(net.source, 1, 5, 1, 4)), (0, 2, 3, 1))
    y = net.add("ADD", [net.reshaped(y, 1, 4, 5), random(1, 3, 4, 5)], (1, 3, 4, 5))
    names, _ = net.simplified(net.convolved(y))
    assert names.count("TRANSPOSE") == 1


def test_a_gate_of_one_pixel_is_not_moved_to_and_fro():
    # As squeeze-and-excitation comes: the gate is reshaped to channels first, the map transposed.
    net = Network(1, 6, 5, 3)
    y = net.convolved(net.source)
    pooled = net.add("MEAN", [y, constant(np.array([1, 2], np.int32))], (1, 1, 1, 3), {"keep_dims": True})
    gate = net.add("LOGISTIC", [net.reshaped(net.convolved(pooled), 1, 3, 1, 1)], (1, 3, 1, 1), {})
    product = net.add("MUL", [net.transposed(y, FIRST), gate], (1, 3, 6, 5))
    names, _ = net.simplified(net.convolved(net.transposed(product, LAST)))
    assert names == ["CONV_2D", "MEAN", "CONV_2D", "LOGISTIC", "MUL", "CONV_2D"]


@pytest.mark.parametrize("op", ["PAD", "MIRROR_PAD"])
def test_what_pads_an_image_pads_it_channels_last(op):
    net = Network(1, 3, 6, 5)
    pads = constant(np.array([[0, 0], [0, 0], [1, 2], [2, 1]], np.int32))
    y = net.add(op, [net.source, pads], (1, 3, 9, 8), {"mode": "REFLECT"} if op == "MIRROR_PAD" else {})
    assert net.simplified(net.convolved(net.transposed(y, LAST))) == ([op, "CONV_2D"], LAST)


def test_convolutions_of_a_sequence_keep_its_steps_before_its_channels():
    # (1, channels, steps), to an image and back around each convolution.
    net, y = Network(1, 4, 9), None
    y = net.source
    for _ in range(2):
        image = net.transposed(net.reshaped(y, 1, 4, 1, 9), LAST)
        y = net.reshaped(net.transposed(net.convolved(image), FIRST), 1, 4, 9)
        y = net.add("RELU", [y], y.shape, {})
    names, order = net.simplified(y)
    assert names == ["RESHAPE", "CONV_2D", "CONV_2D", "RESHAPE"]
    assert order == (0, 2, 1)


def test_a_flattening_of_channels_first_is_in_the_weights():
    net = Network(1, 6, 5, 3)
    flat = net.reshaped(net.transposed(net.convolved(net.source), FIRST), 1, 90)
    names, _ = net.simplified(net.add("FULLY_CONNECTED", [flat, random(4, 90), random(4)], (1, 4), DENSE))
    assert names == ["CONV_2D", "RESHAPE", "FULLY_CONNECTED"]


@pytest.mark.parametrize(("activation", "kept"), [("RELU", "PAD"), ("NONE", "PADV2")])
def test_a_maximum_over_positive_values_pads_with_zero(activation, kept):
    net = Network(1, 6, 5, 3)
    y = net.convolved(net.source)
    if activation == "RELU":
        y = net.add("RELU", [y], y.shape, {})
    pads = constant(np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32))
    lowest = constant(np.array([-3.4e38], np.float32))
    y = net.add("PADV2", [y, pads, lowest], (1, 8, 7, 3), {})
    window = {"padding": "VALID", "stride_w": 2, "stride_h": 2, "filter_width": 3, "filter_height": 3, **PLAIN}
    names, _ = net.simplified(net.add("MAX_POOL_2D", [y], (1, 3, 3, 3), window))
    assert names == ["CONV_2D", kept, "MAX_POOL_2D"]


def test_an_output_keeps_what_it_is_padded_with():
    net = Network(1, 6, 5, 3)
    pads = constant(np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32))
    positive = net.add("RELU", [net.source], net.source.shape, {})
    lowest = constant(np.array([-3.4e38], np.float32))
    names, _ = net.simplified(net.add("PADV2", [positive, pads, lowest], (1, 8, 7, 3), {}))
    assert names == ["RELU", "PADV2"]


def test_a_transposition_of_a_batch_of_time_stays():
    net = Network(1, 6, 5)
    order = constant(np.array([1, 0, 2], np.int32))
    y = net.add("TRANSPOSE", [net.source, order], (6, 1, 5), {})
    assert net.simplified(net.add("LOGISTIC", [net.reshaped(y, 1, 30)], (1, 30), {})) == (
        ["LOGISTIC", "RESHAPE"],
        (0, 1, 2),
    )


@pytest.mark.parametrize("op", ["CONCATENATION", "PACK"])
def test_a_cut_of_one_operand_is_that_operand(op):
    net = Network(1, 12)
    steps = [net.add("MUL", [net.source, random(1, 12)], (1, 12)) for _ in range(3)]
    if op == "CONCATENATION":
        steps = [net.reshaped(step, 1, 1, 12) for step in steps]
    options = {"axis": 1, **(PLAIN if op == "CONCATENATION" else {"values_count": 3})}
    whole = net.add(op, steps, (1, 3, 12), options)
    bounds = [constant(np.array(values, np.int32)) for values in ([0, 2, 0], [1, 1, 12])]
    last = net.add("SLICE", [whole, *bounds], (1, 1, 12), {})
    operators, _ = net.simplified(net.add("LOGISTIC", [net.reshaped(last, 1, 12)], (1, 12), {}))
    assert op not in operators
    assert "SLICE" not in operators
    assert operators.count("MUL") == 1


@pytest.mark.parametrize("order", [(1, 0, 2), (2, 1, 0)])
def test_a_cut_behind_moves_is_the_operand_that_all_of_it_comes_from(order):
    """As PyTorch puts the batch of a recurrent layer before its steps."""
    net = Network(1, 12)
    steps = [net.reshaped(net.add("MUL", [net.source, random(1, 12)], (1, 12)), 1, 1, 1, 12) for _ in range(3)]
    whole = net.add("CONCATENATION", steps, (3, 1, 1, 12), {"axis": 0, **PLAIN})
    moved = net.transposed(net.reshaped(whole, 3, 1, 12), order)
    shape = tuple(1 if size == 3 else size for size in moved.shape)
    options = {"axis": moved.shape.index(3), "batch_dims": 0}
    last = net.add("GATHER", [moved, constant(np.array([2], np.int32))], shape, options)
    operators, _ = net.simplified(net.add("LOGISTIC", [net.reshaped(last, 1, 12)], (1, 12), {}))
    assert [operator for operator in operators if operator != "RESHAPE"] == ["MUL", "LOGISTIC"]


def test_a_cut_across_operands_stays():
    net = Network(1, 12)
    whole = net.add("CONCATENATION", [net.source, net.source], (1, 24), {"axis": 1, **PLAIN})
    bounds = [constant(np.array(values, np.int32)) for values in ([0, 6], [1, 12])]
    operators, _ = net.simplified(net.add("SLICE", [whole, *bounds], (1, 12), {}))
    assert operators == ["CONCATENATION", "SLICE"]
