"""ONNX files of other types than float32: what is read of them against ONNX Runtime's run of the file itself."""

import numpy as np
import onnx
import onnxruntime
import pytest
from exports.onnx_files import random, write
from onnx import TensorProto, helper

from tinyedge.conversion.onnx_source import read_onnx, runner

KINDS = {"float16": TensorProto.FLOAT16, "double": TensorProto.DOUBLE}


def network(path, kind, with_casts):
    """Write a network whose weights and activations are of a type, its ends of that type or cast to float32."""
    element = KINDS[kind]
    ends = ("a", "b") if with_casts else ("x", "y")
    nodes = [
        helper.make_node("MatMul", [ends[0], "w"], ["c"]),
        helper.make_node(
            "Constant", [], ["half"], value=onnx.numpy_helper.from_array(random(8).astype(numpy_type(kind)))
        ),
        helper.make_node("Mul", ["c", "half"], ["m"]),
        helper.make_node("Sigmoid", ["m"], [ends[1]]),
    ]
    if with_casts:
        nodes.insert(0, helper.make_node("Cast", ["x"], ["a"], to=element))
        nodes.append(helper.make_node("Cast", ["b"], ["y"], to=TensorProto.FLOAT))
    weights = {"w": random(6, 8).astype(numpy_type(kind))}
    write(path, nodes, {"x": ("N", 3, 6)}, {"y": ("N", 3, 8)}, weights)
    if not with_casts:
        model = onnx.load(path)
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.elem_type = element
        onnx.save(model, path)
    return path


def numpy_type(kind):
    return {"float16": np.float16, "double": np.float64}[kind]


@pytest.mark.parametrize("with_casts", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_other_reals_become_float32(tmp_path, kind, with_casts):
    path = network(tmp_path / "net.onnx", kind, with_casts)
    source = read_onnx(path, {})
    assert f"{kind} values became float32" in source.notes
    model = source.folded
    kinds = {tensor.data_type for tensor in model.graph.initializer if tensor.data_type != TensorProto.INT64}
    assert kinds == {TensorProto.FLOAT}
    assert "Cast" not in {node.op_type for node in model.graph.node}
    x = random(2, 3, 6)
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": x if with_casts else x.astype(numpy_type(kind))})
    np.testing.assert_allclose(runner(source)([x])[0], expected, atol=4e-3 if kind == "float16" else 1e-6)


def test_integers_that_are_cast_at_once_are_taken_as_float32(tmp_path):
    nodes = [helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT), helper.make_node("Sqrt", ["f"], ["y"])]
    path = write(tmp_path / "net.onnx", nodes, {"x": (1, 5)}, {"y": (1, 5)})
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    onnx.save(model, path)
    source = read_onnx(path, {})
    assert source.notes == ("input x, uint8 in the file, takes the same numbers as float32",)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 5)).astype(np.float32)
    np.testing.assert_allclose(runner(source)([pixels])[0], np.sqrt(pixels), rtol=1e-6)


def test_an_input_that_nothing_reads_is_left_out(tmp_path):
    node = helper.make_node("Relu", ["x"], ["y"])
    source = read_onnx(write(tmp_path / "net.onnx", [node], {"x": (1, 5), "rate": ()}, {"y": (1, 5)}), {})
    assert source.inputs == (("x", (1, 5)),)
    assert source.notes == ("input rate, which nothing reads, is left out",)
