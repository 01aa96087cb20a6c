"""Recurrent layers written out equal ONNX Runtime's own."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tinyedge.conversion.onnx_source import read_onnx
from tinyedge.errors import UnsupportedOpError

GATES = {"GRU": 3, "LSTM": 4, "RNN": 1}
STEPS, VALUES, UNITS = 5, 4, 3


def layer(path, kind, directions=1, *, bias=True, initial=False, steps=STEPS, outputs=None, **attributes):
    """Write a model of one recurrent layer of random weights, over (1, steps, VALUES)."""
    generator = np.random.default_rng(0)

    def random(*shape):
        return generator.standard_normal(shape).astype(np.float32)

    gates = GATES[kind] * UNITS
    constants = {"w": random(directions, gates, VALUES), "r": random(directions, gates, UNITS)}
    states = ["h", "c"] if kind == "LSTM" else ["h"]
    if bias:
        constants["b"] = random(directions, 2 * gates)
    if initial:
        constants.update({f"{state}0": random(directions, 1, UNITS) for state in states})
    outputs = outputs or ["y", *(f"{state}n" for state in states)]
    inputs = ["t", "w", "r", "b" if bias else "", "", *(f"{state}0" for state in states if initial)]
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        helper.make_node(kind, inputs, outputs, name="layer", hidden_size=UNITS, **attributes),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, steps, VALUES))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs if name],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def run(model, x):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, {model.graph.input[0].name: x})


@pytest.mark.parametrize(
    ("kind", "directions", "form"),
    [
        ("GRU", 1, {"linear_before_reset": 1}),
        ("GRU", 1, {"linear_before_reset": 0}),
        ("GRU", 2, {"linear_before_reset": 1, "direction": "bidirectional"}),
        ("GRU", 1, {"direction": "reverse", "initial": True}),
        ("GRU", 1, {"linear_before_reset": 1, "initial": True, "bias": False}),
        ("LSTM", 1, {}),
        ("LSTM", 2, {"direction": "bidirectional", "initial": True}),
        ("LSTM", 1, {"direction": "reverse", "bias": False}),
        ("LSTM", 1, {"outputs": ["", "hn"]}),
        ("RNN", 1, {}),
        ("RNN", 2, {"direction": "bidirectional", "initial": True}),
    ],
)
def test_a_layer_written_out_computes_the_same(tmp_path, kind, directions, form):
    source = read_onnx(layer(tmp_path / "layer.onnx", kind, directions, **form), {})
    assert not any(node.op_type in GATES for node in source.folded.graph.node)
    onnx.checker.check_model(source.folded)
    x = np.random.default_rng(1).standard_normal((1, STEPS, VALUES), np.float32)
    for expected, computed in zip(run(source.original, x), run(source.folded, x), strict=True):
        assert expected.std() > 0.01
        np.testing.assert_allclose(computed, expected, atol=2e-6)
    assert f"node 'layer' ({kind}) is written out, {STEPS} steps of {UNITS} units" in source.notes


def test_all_steps_share_their_weights(tmp_path):
    folded = read_onnx(layer(tmp_path / "layer.onnx", "GRU", linear_before_reset=1), {}).folded
    products = [node for node in folded.graph.node if node.op_type == "MatMul"]
    assert len(products) == 2 + 2 * (STEPS - 1)  # The first state is zero.
    assert len({node.input[1] for node in products}) == 4


def test_a_gru_blends_within_the_range_of_its_state(tmp_path):
    """No sample leaves it, whatever the calibration has seen."""
    folded = read_onnx(layer(tmp_path / "layer.onnx", "GRU"), {}).folded
    blended = [node.output[0] for node in folded.graph.node if node.op_type in ("Mul", "Sub")]
    folded.graph.output.extend(onnx.ValueInfoProto(name=name) for name in blended)
    sequences = 30 * np.random.default_rng(1).standard_normal((50, 1, STEPS, VALUES), np.float32)  # Gates saturate.
    results = [run(folded, sequence)[-len(blended) :] for sequence in sequences]
    largest = max(np.abs(value).max() for values in results for value in values)
    assert largest == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("kind", "form", "problem"),
    [
        ("GRU", {"steps": 300}, "has 300 steps"),
        ("RNN", {"activations": ["Relu"]}, "has the activations relu"),
        ("GRU", {"clip": 1.0}, "has clip"),
        ("LSTM", {"input_forget": 1}, "has input_forget"),
    ],
)
def test_a_form_that_no_framework_writes_is_named(tmp_path, kind, form, problem):
    with pytest.raises(UnsupportedOpError, match=rf"^node 'layer' \({kind}\) {problem}"):
        read_onnx(layer(tmp_path / "layer.onnx", kind, **form), {})
