"""Anybody's networks: converted, and compared with ONNX Runtime or PyTorch."""

import numpy as np
import onnx
import pytest
import torch
from exports.onnx_files import needs_onnx2tf_2, random, write
from onnx import TensorProto, helper
from torch import nn

from tinyedge.conversion.intake import read_network, run_graph
from tinyedge.conversion.onnx_source import read_onnx, runner
from tinyedge.errors import ModelError, UnsupportedOpError
from tinyedge.quantisation.preparation import prepare
from tinyedge.tflite.graph import Graph, Operator, Tensor

torch.set_num_threads(1)


def same(network, tolerance=1e-5):
    """Check that the graph computes what its source does, on inputs that the reader did not see."""
    values = [random(3, *layout.shape[1:], seed=7 + at) for at, layout in enumerate(network.inputs)]
    found = run_graph(network.graph, [layout.to_graph(x) for layout, x in zip(network.inputs, values, strict=True)])
    for layout, computed, expected in zip(network.outputs, found, network.run(values), strict=True):
        assert layout.shape == (1, *expected.shape[1:])
        assert expected.std() > 0
        np.testing.assert_allclose(layout.to_source(computed), expected, atol=tolerance * np.abs(expected).max())


def test_a_map_may_be_averaged_before_something_else_reads_it(tmp_path):
    """As where each stage's mean is a part of the feature; onnx2tf made a mean of nothing of it."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["one"], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["one", "v"], ["two"]),
        helper.make_node("Add", ["one", "two"], ["sum"]),
        helper.make_node("ReduceMean", ["sum"], ["mean"], axes=[-1, 2], keepdims=0),
        helper.make_node("ReduceMean", ["sum"], ["kept"], axes=[2, 3]),
        helper.make_node("Conv", ["sum", "v"], ["y"], strides=[2, 2]),
    ]
    outputs = {"mean": (1, 4), "kept": (1, 4, 1, 1), "y": (1, 4, 4, 3)}
    constants = {"w": random(4, 3, 3, 3), "v": random(4, 4, 1, 1)}
    same(read_network(write(tmp_path / "net.onnx", nodes, {"x": (1, 3, 7, 5)}, outputs, constants)))


@pytest.mark.parametrize("shape", [(8, 6, 7), pytest.param((8, 8, 8), marks=needs_onnx2tf_2)])
def test_an_image_network_becomes_channels_last(tmp_path, shape):
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["map"]),
        helper.make_node("GlobalAveragePool", ["map"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["vector"]),
    ]
    # With as many rows and columns as channels, shapes alone do not tell the layouts apart.
    inputs, outputs = {"x": ("N", *shape)}, {"map": ("N", *shape), "vector": ("N", 8)}
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


@pytest.mark.parametrize("shape", [(7,), (6, 1), (8, 6, 7)])
def test_a_constant_of_fewer_axes_is_added_along_the_last_ones(tmp_path, shape):
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["map"], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["map", "constant"], ["sum"]),
        helper.make_node("Conv", ["sum", "w"], ["y"], pads=[1, 1, 1, 1]),
    ]
    constants = {"w": random(8, 8, 3, 3), "constant": 4 * random(*shape)}
    same(read_network(write(tmp_path / "net.onnx", nodes, {"x": (1, 8, 6, 7)}, {"y": (1, 8, 6, 7)}, constants)))


def test_a_graph_that_litert_refuses_is_told():
    x, y = Tensor("x", (1, 3), np.dtype(np.float32)), Tensor("y", (1, 3), np.dtype(np.float32))
    constant = Tensor("c", (2,), np.dtype(np.float32), data=np.zeros(2, np.float32))
    graph = Graph("net", [Operator("ADD", (x, constant), (y,))], (x,), (y,))
    with pytest.raises(
        ModelError, match=r"LiteRT does not run net as it was converted \(Given shapes, \[1,3\] and \[2\]"
    ):
        run_graph(graph, [random(1, 3)])


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


def cnn(path, opset):
    """Write a small network in the form of an opset."""
    axes = {"axes": [2, 3]} if opset < 18 else {}
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Clip", ["c", "low", "high"], ["r"])
        if opset >= 11
        else helper.make_node("Clip", ["c"], ["r"], min=0.0, max=6.0),
        helper.make_node("ReduceMean", ["r"] if opset < 18 else ["r", "axes"], ["m"], keepdims=0, **axes),
        helper.make_node("Gemm", ["m", "g", "h"], ["y"], transB=1),
    ]
    constants = {"w": random(4, 3, 3, 3), "b": random(4), "g": random(5, 4), "h": random(5)}
    if opset >= 11:
        constants |= {"low": np.float32(0), "high": np.float32(6)}
    if opset >= 18:
        constants["axes"] = np.array([2, 3], np.int64)
    return write(path, nodes, {"x": ("N", 3, 6, 6)}, {"y": ("N", 5)}, constants, opset)


@pytest.mark.parametrize("opset", range(7, 24))
def test_every_opset_is_read(tmp_path, opset):
    source = read_onnx(cnn(tmp_path / "net.onnx", opset), {})
    x = random(2, 3, 6, 6)
    (expected,) = runner(read_onnx(cnn(tmp_path / "first.onnx", 11), {}))([x])
    np.testing.assert_allclose(runner(source)([x])[0], expected, atol=1e-5)
    assert (source.inputs, source.outputs) == ((("x", (1, 3, 6, 6)),), (("y", (1, 5)),))


@pytest.mark.parametrize("opset", [7, 23])
def test_the_first_and_the_last_opset_are_converted(tmp_path, opset):
    network = read_network(cnn(tmp_path / "net.onnx", opset))
    assert {"CONV_2D", "MEAN", "FULLY_CONNECTED"} <= set(network.graph.histogram())
    assert network.graph.operators[0].options["fused_activation_function"] == "RELU6"
    same(network)


@pytest.mark.parametrize(
    ("case", "problem"),
    [
        ("opset", "is of opset 6, and quantisation takes 7 to 23"),
        ("truncated", "is not an ONNX model"),
        ("weights", r"keeps its weights in another file"),
        ("open", r"input x of .* is \(1, 3, H, 6\), open in dimension 2: .* --input-shape x:1,3,N,6"),
        ("batch", r"input x of .* is \(4, 3, 6, 6\), and its first dimension has to be a batch of 1"),
        ("integers", r"input x of .* is int64, .*: cut the network behind what reads it"),
        ("domain", r"node 'theirs' \(Fused\) of .* is of the domain com.microsoft"),
        ("control flow", r"node 'branch' \(If\) of .* is control flow"),
        ("input as output", r"output x of .* is an input or a constant, which no operator makes"),
        ("constant as output", r"output zero of .* is an input or a constant, which no operator makes"),
        ("values", r"node 'found' \(NonZero\) of .* makes an output whose shape depends on values"),
    ],
)
def test_what_cannot_be_read_is_told_before_a_conversion(tmp_path, case, problem):
    path = tmp_path / "net.onnx"
    node = helper.make_node("Relu", ["x"], ["y"])
    shape = {"open": (1, 3, "H", 6), "batch": (4, 3, 6, 6)}.get(case, (1, 3, 6, 6))
    if case == "domain":
        node = helper.make_node("Fused", ["x"], ["y"], name="theirs", domain="com.microsoft")
    if case == "control flow":
        branches = [
            helper.make_graph(
                [helper.make_node(op, ["x"], ["z"])], op, [], [helper.make_tensor_value_info("z", 1, shape)]
            )
            for op in ("Neg", "Relu")
        ]
        node = helper.make_node("If", ["c"], ["y"], name="branch", then_branch=branches[0], else_branch=branches[1])
    nodes = [node]
    if case == "control flow":
        nodes = [
            helper.make_node("ReduceMean", ["x"], ["m"], keepdims=0),
            helper.make_node("Greater", ["m", "zero"], ["c"]),
            node,
        ]
    if case == "values":
        nodes = [
            helper.make_node("NonZero", ["x"], ["n"], name="found"),
            helper.make_node("Cast", ["n"], ["y"], to=TensorProto.FLOAT),
        ]
    constants = {"zero": np.float32(0)} if case in ("control flow", "constant as output") else {}
    outputs = {"y": shape} | {"input as output": {"x": shape}, "constant as output": {"zero": ()}}.get(case, {})
    write(path, nodes, {"x": shape}, outputs, constants, 6 if case == "opset" else 17)
    if case == "truncated":
        path.write_bytes(path.read_bytes()[:20])
    if case == "integers":
        model = onnx.load(path)
        model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
        onnx.save(model, path)
    if case == "weights":
        model = onnx.load(cnn(path, 17))
        onnx.save(model, path, save_as_external_data=True, location="net.data", size_threshold=0)
        (tmp_path / "net.data").unlink()
    with pytest.raises(ModelError, match=problem):
        read_onnx(path, {})


def test_a_branch_on_a_shape_is_the_one_that_is_taken(tmp_path):
    """As PyTorch's exporter writes a squeeze of an axis that may be longer than 1."""
    branches = [
        helper.make_graph([helper.make_node(op, ["x"], ["z"])], op, [], [helper.make_tensor_value_info("z", 1, None)])
        for op in ("Neg", "Exp")
    ]
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "second"], ["size"]),
        helper.make_node("Equal", ["size", "six"], ["c"]),
        helper.make_node("If", ["c"], ["y"], then_branch=branches[0], else_branch=branches[1]),
    ]
    constants = {"second": np.array(1), "six": np.array(6)}
    path = write(tmp_path / "net.onnx", nodes, {"x": ("N", 6)}, {"y": ("N", 6)}, constants)
    x = random(2, 6)
    np.testing.assert_array_equal(runner(read_onnx(path, {}))([x])[0], -x)
    assert [node.op_type for node in read_onnx(path, {}).folded.graph.node] == ["Neg"]


@needs_onnx2tf_2
def test_an_operator_without_an_int8_form_is_named_with_its_node(tmp_path):
    node = helper.make_node("Det", ["x"], ["y"], name="determinant")
    path = write(tmp_path / "net.onnx", [node], {"x": (1, 4, 4)}, {"y": (1,)})
    with pytest.raises(UnsupportedOpError, match=r"^node 'determinant' \(Det\) of net becomes operator 0 \(ONNX_DET\)"):
        read_network(path)


@pytest.mark.parametrize("shape", [(), (24,), (4, 6)])
def test_an_output_without_a_batch_is_one_a_sample(tmp_path, shape):
    nodes = [helper.make_node("ReduceMean", ["x"], ["y"], keepdims=0)]
    if shape:
        nodes = [helper.make_node("Reshape", ["x", "shape"], ["y"])]
    path = write(tmp_path / "net.onnx", nodes, {"x": (1, 4, 6)}, {"y": shape}, {"shape": np.array(shape, np.int64)})
    network = read_network(path)
    (values,) = network.run([random(3, 4, 6)])
    assert values.shape == (3, *shape)
    np.testing.assert_allclose(run_graph(network.graph, [random(3, 4, 6)])[0], values, atol=1e-6)


def test_a_logarithm_is_compared_where_it_is_defined(tmp_path):
    path = write(tmp_path / "net.onnx", [helper.make_node("Log", ["x"], ["y"])], {"x": (1, 4, 6)}, {"y": (1, 4, 6)})
    assert [operator.op for operator in read_network(path).graph.operators] == ["LOG"]


@needs_onnx2tf_2
@pytest.mark.parametrize("inputs", [("x", "each"), ("one", "x"), ("x", "x")])
def test_a_power_that_no_table_holds_is_named(tmp_path, inputs):
    node = helper.make_node("Pow", inputs, ["y"], name="power")
    constants = {"each": np.arange(1, 7, dtype=np.float32), "one": np.float32(2)}
    path = write(tmp_path / "net.onnx", [node], {"x": (1, 4, 6)}, {"y": (1, 4, 6)}, constants)
    with pytest.raises(UnsupportedOpError, match=r"^node 'power' \(Pow\) of net becomes operator 0 \(POW\)"):
        read_network(path)


class _Gate(nn.Module):
    """A streaming network: the state of its layers is an input and an output without a batch in front."""

    def __init__(self):
        super().__init__()
        self.layer = nn.LSTM(6, 5, batch_first=True)
        self.head = nn.Linear(5, 2)

    def forward(self, x, state):
        y, (hidden, cell) = self.layer(x, (state[:1], state[1:]))
        return self.head(y[:, -1]), torch.cat([hidden, cell])


@pytest.mark.parametrize("kind", ["file", "module"])
def test_a_state_without_a_batch_is_a_sample_of_its_own(tmp_path, kind):
    module = _Gate().eval()
    if kind == "file":
        path, axes = tmp_path / "gate.onnx", {"x": {0: "batch"}, "state": {1: "batch"}}
        names = {"input_names": ["x", "state"], "output_names": ["y", "next"]}
        inputs = (torch.randn(1, 3, 6), torch.randn(2, 1, 5))
        torch.onnx.export(module, inputs, str(path), dynamo=False, opset_version=17, dynamic_axes=axes, **names)
        network = read_network(path)
        assert (
            "input state, (2, 1, 5) in the file, is (1, 2, 1, 5) in the model: a sample is all of it" in network.notes
        )
    else:
        network = read_network(module, example_inputs=[random(1, 3, 6), random(2, 1, 5)])
    assert [layout.shape for layout in network.inputs] == [(1, 3, 6), (1, 2, 1, 5)]
    x, states = random(4, 3, 6, seed=1), random(4, 2, 1, 5, seed=2)
    with torch.no_grad():
        expected = [module(torch.from_numpy(x[at : at + 1]), torch.from_numpy(states[at])) for at in range(4)]
    for values in (network.run([x, states]), run_graph(network.graph, [x, states])):
        for value, wanted in zip(values, zip(*expected, strict=True), strict=True):
            np.testing.assert_allclose(value.reshape(4, -1), torch.stack(wanted).reshape(4, -1), atol=1e-5)


class _Activations(nn.Module):
    """Activations that exporters write out, or that networks write themselves, each of an input of its own."""

    def forward(self, a, b, c, d, e, f, g, h, i):
        return (
            nn.functional.gelu(a),
            b * 0.5 * (1.0 + torch.erf(b / 2**0.5)),
            0.5 * c * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (c + 0.044715 * torch.pow(c, 3)))),
            nn.functional.silu(d),
            nn.functional.mish(e),
            nn.functional.softplus(f),
            nn.functional.softsign(g),
            torch.where(h > 0, h, 0.2 * h),
            nn.functional.gelu(i, approximate="tanh"),
        )


@needs_onnx2tf_2
@pytest.mark.parametrize("dynamo", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_an_activation_written_out_is_one_function(tmp_path, dynamo):
    path, form = tmp_path / "net.onnx", {} if dynamo else {"opset_version": 17}
    inputs = tuple(torch.randn(1, 4, 6) for _ in range(9))
    torch.onnx.export(_Activations(), inputs, str(path), dynamo=dynamo, external_data=False, verbose=False, **form)
    network = read_network(path)
    same(network)
    prepared = prepare(network.graph)
    assert len(prepared.operators) == len(network.outputs)
    assert {operator.op for operator in prepared.operators} <= {"FUNCTION", "GELU"}
