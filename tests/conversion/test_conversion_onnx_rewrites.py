"""Nodes written as others: ONNX Runtime runs the file as it is and as it is rewritten."""

import sys

import numpy as np
import onnxruntime
import pytest
from exports.onnx_files import random, write
from onnx import helper

from tinyedge.conversion.onnx_source import read_onnx, runner


def rewritten(path):
    """Return what a file computes on two samples as it is and as it is rewritten, and its nodes then."""
    source = read_onnx(path, {})
    inputs = [random(2, *shape[1:], seed=at) for at, (_, shape) in enumerate(source.inputs)]
    session = onnxruntime.InferenceSession(source.folded.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    found = [session.run(None, dict(zip(names, [x[at : at + 1] for x in inputs], strict=True))) for at in range(2)]
    computed = [np.concatenate(values) for values in zip(*found, strict=True)]
    return runner(source)(inputs), computed, [node.op_type for node in source.folded.graph.node]


def node(op, *inputs, **attributes):
    return helper.make_node(op, ["x", *inputs], ["y"], name="it", **attributes)


def numbers(*values):
    return np.array(values, np.int64)


CASES = {
    "elu": (node("Elu", alpha=0.7), (1, 4, 6), (1, 4, 6), {}),
    "gelu by tanh": (node("Gelu", approximate="tanh"), (1, 4, 6), (1, 4, 6), {}),
    "sums of the last axis": (node("CumSum", "i"), (1, 4, 6), (1, 4, 6), {"i": np.array(-1)}),
    "sums of an axis": (node("CumSum", "i"), (1, 4, 6), (1, 4, 6), {"i": np.array(1)}),
    "sums without its own": (node("CumSum", "i", exclusive=1), (1, 4, 6), (1, 4, 6), {"i": np.array(1)}),
    "sums from the end": (node("CumSum", "i", reverse=1, exclusive=1), (1, 4, 6), (1, 4, 6), {"i": np.array(2)}),
    "wrapped": (node("Pad", "p", mode="wrap"), (1, 3, 5, 6), (1, 3, 8, 7), {"p": numbers(0, 0, 2, 0, 0, 0, 1, 1)}),
    "gathered": (
        helper.make_node("GatherND", ["x", "i"], ["y"]),
        (1, 4, 6),
        (2, 1, 6),
        {"i": np.array([[[0, 3]], [[0, -4]]])},
    ),
    "groups of a sequence": (
        node("Conv", "w", "b", group=3, dilations=[2], pads=[3, 1], strides=[2]),
        (1, 6, 11),
        (1, 9, 6),
        {"w": random(9, 2, 3), "b": random(9)},
    ),
    "dilated and transposed": (
        node("ConvTranspose", "w", dilations=[3], strides=[2], pads=[1, 2], output_padding=[1]),
        (1, 6, 5),
        (1, 4, 13),
        {"w": random(6, 4, 3)},
    ),
    "average over the end": (
        node("AveragePool", kernel_shape=[3, 2], strides=[2, 2], ceil_mode=1),
        (1, 4, 8, 7),
        (1, 4, 4, 4),
        {},
    ),
    "average over pads and the end": (
        node("AveragePool", kernel_shape=[3], strides=[3], pads=[1, 1], ceil_mode=1, count_include_pad=1),
        (1, 4, 9),
        (1, 4, 4),
        {},
    ),
    "average over depth": (node("AveragePool", kernel_shape=[3, 1, 1]), (1, 2, 6, 3, 4), (1, 2, 4, 3, 4), {}),
    "a constant of two axes": (node("Mul", "c"), (1, 4, 5, 6), (1, 4, 5, 6), {"c": random(5, 6)}),
    "reshape": (node("Reshape", "s"), (1, 8, 6), (1, 2, 2, 2, 6), {"s": numbers(0, 2, 2, 2, -1)}),
}
GONE = {"CumSum", "Elu", "GatherND", "Gelu"}


@pytest.mark.parametrize("case", CASES)
def test_a_node_written_as_others_computes_the_same(tmp_path, case):
    if case == "average over the end" and sys.version_info < (3, 12):
        pytest.skip("ONNX Runtime 1.23, of Python 3.11, divides by what is beyond the end of an average pool, too")
    one, shape, output, constants = CASES[case]
    path = write(tmp_path / "net.onnx", [one], {"x": shape}, {"y": output}, constants, opset=20)
    expected, computed, ops = rewritten(path)
    np.testing.assert_allclose(computed[0].reshape(expected[0].shape), expected[0], atol=1e-5)
    assert not GONE & set(ops)
    assert (ops == [one.op_type]) == (case in ("reshape", "a constant of two axes"))


def test_a_plain_elu_and_a_long_sum_stay(tmp_path):
    path = write(tmp_path / "elu.onnx", [node("Elu")], {"x": (1, 4)}, {"y": (1, 4)})
    assert rewritten(path)[2] == ["Elu"]
    path = write(tmp_path / "sum.onnx", [node("CumSum", "i")], {"x": (1, 1025)}, {"y": (1, 1025)}, {"i": np.array(1)})
    assert rewritten(path)[2] == ["CumSum"]


def test_a_copy_that_makes_an_output_leaves_the_other_readers_their_input(tmp_path):
    nodes = [
        helper.make_node("Tanh", ["x"], ["t"]),
        helper.make_node("Reshape", ["t", "s"], ["state"]),
        helper.make_node("Exp", ["t"], ["y"]),
    ]
    path = write(tmp_path / "net.onnx", nodes, {"x": (1, 6)}, {"y": (1, 6), "state": (1, 6)}, {"s": numbers(1, 6)})
    expected, computed, ops = rewritten(path)
    assert ops == ["Tanh", "Exp"]
    for wanted, found in zip(expected, computed, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-6)


@pytest.mark.parametrize("counts_pads", [0, 1])
def test_an_average_over_the_end_is_what_its_opset_says(tmp_path, counts_pads):
    one = node("AveragePool", kernel_shape=[3], strides=[3], pads=[1, 1], ceil_mode=1, count_include_pad=counts_pads)
    path = write(tmp_path / "net.onnx", [one], {"x": (1, 4, 9)}, {"y": (1, 4, 4)}, opset=17)
    expected, computed, ops = rewritten(path)
    np.testing.assert_allclose(computed[0], expected[0], atol=1e-5)
    assert (ops == ["AveragePool"]) == bool(counts_pads)
