"""ONNX files of a few nodes, and inputs for them."""

import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

needs_onnx2tf_2 = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="onnx2tf 1, of Python 3.11, names no nodes and converts fewer networks"
)


def write(path, nodes, inputs, outputs, constants=(), opset=17):
    """Write an ONNX model of float inputs and outputs, {name: shape}, and of constants, {name: array}."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in dict(constants).items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path)
    return path


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, np.float32)
