"""Dilated convolutions as TensorFlow writes them, in LiteRT as they are and as one operator."""

import numpy as np
import pytest
from exports.tiny_graphs import CONV

from tinyedge.conversion.dilations import dilate_convolutions
from tinyedge.conversion.intake import read_network, run_graph
from tinyedge.tflite.graph import Graph, Operator, Tensor
from tinyedge.tflite.writer import tflite_bytes

F32 = np.dtype(np.float32)


def real(name, *shape):
    return Tensor(name, shape, F32)


def constant(values, dtype=np.int32):
    values = np.asarray(values, dtype)
    return Tensor("c", values.shape, values.dtype, data=values)


def image(size, rate, padding, crop):
    """A map whose rows and columns are dealt to `rate` images each, convolved by 3x3, and dealt back."""
    rng = np.random.default_rng(0)
    height, width = (length + sum(padding) for length in size)
    dealt = (rate * rate, height // rate, width // rate)
    convolved = (rate * rate, dealt[1] - 2, dealt[2] - 2)
    out = tuple(length * rate - sum(crop) for length in convolved[1:])
    x, a, b, y = real("x", 1, *size, 3), real("a", *dealt, 3), real("b", *convolved, 4), real("y", 1, *out, 4)
    weights = [constant(rng.normal(size=(4, 3, 3, 3)), F32), constant(rng.normal(size=4), F32)]
    operators = [
        Operator("SPACE_TO_BATCH_ND", (x, constant([rate, rate]), constant([padding, padding])), (a,)),
        Operator("CONV_2D", (a, *weights), (b,), {**CONV, "padding": "VALID"}),
        Operator("BATCH_TO_SPACE_ND", (b, constant([rate, rate]), constant([crop, crop])), (y,)),
    ]
    return Graph("image", operators, (x,), (y,))


def sequence():
    """As Keras writes a causal Conv1D: 12 steps, padded in front, a tap at each third one."""
    rng = np.random.default_rng(1)
    x, a, b = real("x", 1, 12, 3), real("a", 3, 6, 3), real("b", 3, 1, 6, 3)
    c, d, y = real("c", 3, 1, 4, 5), real("d", 3, 4, 5), real("y", 1, 12, 5)
    weights = [constant(rng.normal(size=(5, 1, 3, 3)), F32), constant(rng.normal(size=5), F32)]
    operators = [
        Operator("SPACE_TO_BATCH_ND", (x, constant([3]), constant([[6, 0]])), (a,)),
        Operator("EXPAND_DIMS", (a, constant(1)), (b,)),
        Operator("CONV_2D", (b, *weights), (c,), {**CONV, "padding": "VALID"}),
        Operator("SQUEEZE", (c,), (d,), {"squeeze_dims": (1,)}),
        Operator("BATCH_TO_SPACE_ND", (d, constant([3]), constant([[0, 0]])), (y,)),
    ]
    return Graph("sequence", operators, (x,), (y,))


CASES = {
    "same": (image((8, 6), 2, (2, 2), (0, 0)), ["CONV_2D"]),
    "same of an odd length": (image((7, 7), 2, (2, 3), (0, 1)), ["CONV_2D"]),
    "without padding": (image((9, 12), 3, (0, 0), (0, 0)), ["CONV_2D"]),
    "other paddings": (image((8, 6), 2, (4, 2), (0, 0)), ["PAD", "CONV_2D"]),
    "causal": (sequence(), ["RESHAPE", "PAD", "CONV_2D", "RESHAPE"]),
}


@pytest.mark.parametrize("case", CASES)
def test_a_dilated_convolution_is_one_operator(case):
    graph, ops = CASES[case]
    dilated = graph.copy()
    dilate_convolutions(dilated)
    assert [operator.op for operator in dilated.operators] == ops
    x = np.random.default_rng(2).standard_normal((2, *graph.inputs[0].shape[1:]), np.float32)
    (expected,), (found,) = run_graph(graph, [x]), run_graph(dilated, [x])
    assert expected.std() > 0
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_file_is_read_so(tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(tflite_bytes(sequence()))
    (convolution,) = [operator for operator in read_network(path).graph.operators if operator.op == "CONV_2D"]
    assert (convolution.options["dilation_h_factor"], convolution.options["dilation_w_factor"]) == (1, 3)
