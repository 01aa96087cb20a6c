"""Anybody's networks: converted, and compared with ONNX Runtime or PyTorch."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from tinyedge.conversion.intake import read_network, run_graph

torch.set_num_threads(1)


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


def same(network, tolerance=1e-5):
    """Check that the graph computes what its source does, on inputs that the reader did not see."""
    values = [random(3, *layout.shape[1:], seed=7 + at) for at, layout in enumerate(network.inputs)]
    found = run_graph(network.graph, [layout.to_graph(x) for layout, x in zip(network.inputs, values, strict=True)])
    for layout, computed, expected in zip(network.outputs, found, network.run(values), strict=True):
        assert layout.shape == (1, *expected.shape[1:])
        assert expected.std() > 0
        np.testing.assert_allclose(layout.to_source(computed), expected, atol=tolerance * np.abs(expected).max())


def test_an_image_network_becomes_channels_last(tmp_path):
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["map"]),
        helper.make_node("GlobalAveragePool", ["map"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["vector"]),
    ]
    # As many rows and columns as channels: shapes alone do not tell the layouts apart.
    inputs, outputs = {"x": ("N", 8, 8, 8)}, {"map": ("N", 8, 8, 8), "vector": ("N", 8)}
    path = write(tmp_path / "net.onnx", nodes, inputs, outputs, {"w": random(8, 8, 3, 3), "b": random(8)})
    network = read_network(path)
    assert [(layout.name, layout.order) for layout in (*network.inputs, *network.outputs)] == [
        ("x", (0, 2, 3, 1)),
        ("map", (0, 2, 3, 1)),
        ("vector", (0, 1)),
    ]
    assert network.graph.histogram()["CONV_2D"] == 1
    assert [tensor.name for tensor in (*network.graph.inputs, *network.graph.outputs)] == ["x", "map", "vector"]
    assert "the batch of input x, free in the file, is 1" in network.notes
    same(network)


@pytest.mark.parametrize("training", [False, True])
def test_a_module_is_converted_and_left_as_it_is(training):
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 4))
    module[1].running_mean.normal_()
    module.train(training)
    module[1].eval()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    network = read_network(module, example_inputs=[random(1, 3, 8, 8)])
    assert [part.training for part in module] == [training, False, training, training, training]
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    assert (network.inputs[0].name, network.outputs[0].name) == ("input", "output")
    same(network)


def test_names_with_colons_and_open_sizes_of_minus_one_are_taken(tmp_path):
    nodes = [
        helper.make_node("Flatten", ["onnx::Flatten_0"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ['{"1": "on"}']),
    ]
    path = write(
        tmp_path / "net.onnx", nodes, {"onnx::Flatten_0": (-1, 4, 6)}, {'{"1": "on"}': (1, 3)}, {"w": random(24, 3)}
    )
    network = read_network(path)
    same(network)
    assert [layout.name for layout in (*network.inputs, *network.outputs)] == ["onnx::Flatten_0", '{"1": "on"}']
    assert network.inputs[0].is_kept
