"""ONNX files of a few nodes, and inputs for them."""

import numpy as np
import onnx
from onnx import TensorProto, helper


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
