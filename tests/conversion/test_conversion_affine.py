"""Every rule leaves the function, as LiteRT computes both graphs, and the operators that are promised."""

import numpy as np
import pytest
from exports.tiny_graphs import CONV

from tinyedge.conversion.affine import fold_affine
from tinyedge.conversion.intake import run_graph
from tinyedge.tflite.graph import Graph, Operator, Tensor

F32 = np.dtype(np.float32)
SHAPE = (1, 4, 3, 6)
DEPTHWISE = {**CONV, "depth_multiplier": 1}
PLAIN = {"fused_activation_function": "NONE"}
CHANNELS = np.linspace(-1.5, 2, 6).astype(np.float32)


def constant(data):
    data = np.asarray(data, np.float32)
    return Tensor("constant", data.shape, F32, data=data)


def random(*shape):
    return constant(np.random.default_rng(0).standard_normal(shape))


class Chain:
    """A graph that grows operator by operator."""

    def __init__(self, shape=SHAPE):
        self.source = self.last = Tensor("x", shape, F32)
        self.operators = []

    def add(self, op, *others, first=True, options=PLAIN, source=None):
        source = self.last if source is None else source
        self.last = Tensor(f"t{len(self.operators)}", source.shape, F32)
        inputs = (source, *others) if first else (*others, source)
        self.operators.append(Operator(op, inputs, (self.last,), dict(options)))
        return self

    def folded(self):
        graph = Graph("g", self.operators, (self.source,), (self.last,))
        x = np.random.default_rng(1).standard_normal((3, *self.source.shape[1:]), np.float32) * 3
        (expected,) = run_graph(graph, [x])
        found = graph.copy()
        fold_affine(found)
        (computed,) = run_graph(found, [x])
        assert expected.std() > 0.01
        np.testing.assert_allclose(computed, expected, atol=1e-5 * np.abs(expected).max())
        return [operator.op for operator in found.operators]


def convolved(chain):
    return chain.add("CONV_2D", random(6, 3, 3, 6), random(6), options=CONV)


@pytest.mark.parametrize("op", ["MUL", "ADD", "SUB", "DIV"])
@pytest.mark.parametrize("value", [np.float32(0.7), CHANNELS])
def test_what_follows_a_convolution_is_in_it(op, value):
    assert convolved(Chain()).add(op, constant(value)).folded() == ["CONV_2D"]


@pytest.mark.parametrize("options", [{"fused_activation_function": "RELU"}, PLAIN])
def test_an_activation_function_comes_with_the_sum(options):
    chain = convolved(Chain()).add("SUB", constant(CHANNELS), first=False)
    assert chain.add("MUL", constant(0.3)).add("ADD", constant(CHANNELS), options=options).folded() == ["CONV_2D"]


def test_what_follows_a_clipped_convolution_stays():
    clipped = {**CONV, "fused_activation_function": "RELU"}
    chain = Chain().add("CONV_2D", random(6, 3, 3, 6), random(6), options=clipped)
    assert chain.add("ADD", constant(CHANNELS)).folded() == ["CONV_2D", "ADD"]


@pytest.mark.parametrize(
    ("layer", "weight"), [("CONV_2D", (5, 3, 3, 6)), ("CONV_2D", (6, 3, 3, 2)), ("DEPTHWISE_CONV_2D", (1, 3, 3, 6))]
)
@pytest.mark.parametrize("value", [np.float32(0.7), CHANNELS])
def test_what_comes_before_a_layer_is_in_it_where_its_weights_see_channels(layer, weight, value):
    chain = Chain().add("MUL", constant(value))
    bias = random(6 if layer == "DEPTHWISE_CONV_2D" else weight[0])
    chain.add(layer, random(*weight), bias, options=DEPTHWISE if layer == "DEPTHWISE_CONV_2D" else CONV)
    if layer == "CONV_2D":
        chain.last.shape = (*SHAPE[:3], weight[0])
    grouped = weight[3] == 2 and value.size > 1
    assert chain.folded() == (["MUL", layer] if grouped else [layer])


def test_a_constant_for_each_position_stays():
    chain = convolved(Chain()).add("MUL", random(1, 4, 3, 1))
    assert chain.folded() == ["CONV_2D", "MUL"]


def test_hard_swish_comes_back():
    chain = convolved(Chain())
    swished = chain.last
    chain.add("MUL", constant(1 / 6)).add("ADD", constant(0.5)).add("RELU_0_TO_1", options={})
    assert chain.add("MUL", swished).folded() == ["CONV_2D", "HARD_SWISH"]


@pytest.mark.parametrize("fused", [False, True])
def test_hard_swish_of_relu6_comes_back(fused):
    chain = convolved(Chain())
    swished = chain.last
    chain.add("ADD", constant(3.0), options={"fused_activation_function": "RELU6" if fused else "NONE"})
    if not fused:
        chain.add("RELU6", options={})
    assert chain.add("MUL", swished, first=False).add("DIV", constant(6.0)).folded() == ["CONV_2D", "HARD_SWISH"]


def test_a_hard_sigmoid_gate_is_clipped_at_six_and_its_sixth_goes_on():
    chain = convolved(Chain())
    chain.add("MUL", constant(1 / 6)).add("ADD", constant(0.5)).add("RELU_0_TO_1", options={})
    chain.add("MUL", chain.source)
    assert convolved(chain).folded() == ["CONV_2D", "RELU6", "MUL", "CONV_2D"]


def test_division_by_a_root_is_a_product():
    chain = Chain()
    chain.add("MUL", chain.source).add("ADD", constant(0.1)).add("SQRT", options={})
    root = chain.last
    assert chain.add("DIV", root, source=chain.source).folded() == ["MUL", "ADD", "RSQRT", "MUL"]


@pytest.mark.parametrize("ones", [(1,), SHAPE])
def test_a_reciprocal_of_a_root_is_as_wide_as_its_numerator(ones):
    chain = Chain((*SHAPE[:3], 1))
    chain.add("MUL", chain.source).add("ADD", constant(0.1)).add("SQRT", options={})
    chain.add("DIV", constant(np.ones(ones)), first=False)
    widens = len(ones) > 1
    chain.last.shape = SHAPE if widens else chain.source.shape
    assert chain.folded() == ["MUL", "ADD", "RSQRT", *(["MUL"] if widens else [])]


@pytest.mark.parametrize(("first", "second"), [("ADD", "MUL"), ("MUL", "MUL"), ("ADD", "ADD")])
def test_constants_that_would_be_one_for_every_value_stay_apart(first, second):
    chain = Chain().add(first, constant(CHANNELS)).add(second, random(1, 4, 3, 1))
    assert chain.folded() == [first, second]


def test_what_is_clipped_before_relu6_is_no_hard_swish():
    chain = convolved(Chain())
    swished = chain.last
    chain.add("ADD", constant(3.0), options={"fused_activation_function": "RELU_N1_TO_1"}).add("RELU6", options={})
    chain.add("MUL", swished).add("MUL", constant(1 / 6))
    assert chain.folded() == ["CONV_2D", "ADD", "RELU6", "MUL", "MUL"]


def test_what_others_read_stays():
    chain = convolved(Chain())
    middle = chain.last
    chain.add("MUL", constant(CHANNELS)).add("ADD", middle)
    assert chain.folded() == ["CONV_2D", "MUL", "ADD"]
