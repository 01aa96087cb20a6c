"""Float .tflite files of others."""

import numpy as np
import pytest
from compiler.tflite_builder import OperatorSpec, TensorSpec, build_model

from tinyedge.api.quantise import quantise
from tinyedge.conversion.intake import read_network, run_graph
from tinyedge.errors import ModelError, UnsupportedOpError
from tinyedge.tflite.graph import Graph, Operator, Quantisation, State, Tensor
from tinyedge.tflite.reader import read_tflite
from tinyedge.tflite.writer import tflite_bytes

F32, F16 = np.dtype(np.float32), np.dtype(np.float16)
FULL = {
    "fused_activation_function": "NONE",
    "weights_format": "DEFAULT",
    "keep_num_dims": False,
    "asymmetric_quantize_inputs": False,
    "quantized_bias_type": "FLOAT32",
}


def random(*shape, dtype=np.float32):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(dtype)


def constant(name, data):
    return Tensor(name, data.shape, data.dtype, data=data)


def write(path, operators, source, output, states=()):
    path.write_bytes(tflite_bytes(Graph("g", operators, (source,), (output,), states=states)))
    return path


def dense(source, weight, output):
    return Operator("FULLY_CONNECTED", (source, weight, None), (output,), FULL)


def same(network):
    x = random(2, *network.inputs[0].shape[1:])
    np.testing.assert_allclose(run_graph(network.graph, [x])[0], network.run([x])[0], atol=1e-5)


def test_float16_constants_become_float32(tmp_path):
    x, y = Tensor("x", (1, 8), F32), Tensor("y", (1, 5), F32)
    half, weight = constant("half", random(5, 8, dtype=np.float16)), Tensor("weight", (5, 8), F32)
    operators = [Operator("DEQUANTIZE", (half,), (weight,)), dense(x, weight, y)]
    network = read_network(write(tmp_path / "half.tflite", operators, x, y))
    assert network.graph.histogram() == {"FULLY_CONNECTED": 1}
    assert network.notes == ("1 float16 constants became float32",)
    same(network)


@pytest.mark.parametrize("unpacked", [False, True])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_int8_weights_of_float_activations_become_float32(tmp_path, axis, unpacked):
    x, y = Tensor("x", (1, 8), F32), Tensor("y", (1, 5), F32)
    codes = np.random.default_rng(0).integers(-127, 128, (5, 8), np.int8)
    count = 1 if axis is None else codes.shape[axis]
    scales, zero_points = np.linspace(0.01, 0.2, count, dtype=np.float32), np.arange(count, dtype=np.int32)
    weight = constant("w", codes)
    weight.quantisation = Quantisation(scales, zero_points, axis or 0)
    operators = [dense(x, weight, y)]
    if unpacked:
        real = Tensor("real", (5, 8), F32)
        operators = [Operator("DEQUANTIZE", (weight,), (real,)), dense(x, real, y)]
    network = read_network(write(tmp_path / "hybrid.tflite", operators, x, y))
    assert network.notes[0].startswith("1 integer weights became float32;")
    (operator,) = network.graph.operators
    wide = np.moveaxis(codes.astype(np.float64), axis or 0, -1)
    expected = np.moveaxis((wide - zero_points) * scales, -1, axis or 0)
    np.testing.assert_allclose(operator.input(1).values, expected, rtol=1e-6)
    same(network)


def test_a_dynamic_range_model_becomes_int8(tmp_path):
    """The codes of its weights are those of the file, for a channel has a scale of 127 steps to its largest weight."""
    x, y = Tensor("x", (1, 8), F32), Tensor("y", (1, 5), F32)
    codes = np.random.default_rng(1).integers(-126, 127, (5, 8), np.int8)
    codes[:, 0] = 127
    weight = constant("w", codes)
    weight.quantisation = Quantisation(np.linspace(0.01, 0.02, 5, dtype=np.float32), np.zeros(5, np.int32))
    path = write(tmp_path / "hybrid.tflite", [dense(x, weight, y)], x, y)
    made = quantise(path, random(64, 8), out=tmp_path / "made_int8.tflite")
    assert made.manifest.parity["outputs"][0]["cosine"] > 0.999
    (operator,) = read_tflite(made.path).operators
    assert np.array_equal(operator.input(1).values, codes)


def test_a_quantised_model_is_refused(tmp_path):
    one = Quantisation(np.array([0.1], np.float32), np.array([0], np.int32))
    x, y = (Tensor(name, (1, 8), np.dtype(np.int8), one) for name in "xy")
    path = write(tmp_path / "int8.tflite", [Operator("RELU", (x,), (y,))], x, y)
    with pytest.raises(ModelError, match="takes int8 and is quantised already"):
        read_network(path)


def test_a_batch_of_several_is_refused(tmp_path):
    x, y = Tensor("x", (4, 8), F32), Tensor("y", (4, 8), F32)
    path = write(tmp_path / "batch.tflite", [Operator("RELU", (x,), (y,))], x, y)
    with pytest.raises(ModelError, match=r"input x of .* is \(4, 8\), and its first dimension has to be a batch of 1"):
        read_network(path)


@pytest.mark.parametrize("time_major", [False, True])
def test_an_lstm_is_written_out(tmp_path, time_major):
    steps, values, units = 6, 4, 3
    shapes = [(units, values)] * 4 + [(units, units)] * 4
    weights = [constant(f"w{at}", random(*shape) / (at + 1)) for at, shape in enumerate(shapes)]
    biases = [constant(f"b{at}", random(units) + at) for at in range(4)]
    hidden, cell = Tensor("hidden", (1, units), F32), Tensor("cell", (1, units), F32)
    x = Tensor("x", (1, steps, values), F32)
    y = Tensor("y", (1, steps, units), F32)
    before, after = x, y
    operators = []
    if time_major:
        before, after = Tensor("before", (steps, 1, values), F32), Tensor("after", (steps, 1, units), F32)
        order = constant("order", np.array([1, 0, 2], np.int32))
        operators = [Operator("TRANSPOSE", (x, order), (before,)), Operator("TRANSPOSE", (after, order), (y,))]
    options = {"fused_activation_function": "TANH", "cell_clip": 0.0, "proj_clip": 0.0, "time_major": time_major}
    inputs = (before, *weights, None, None, None, *biases, None, None, hidden, cell, None, None, None, None)
    lstm = Operator("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, (after,), options)
    operators.insert(len(operators) // 2, lstm)
    states = tuple(State(t.name, t, t, np.zeros(t.shape, np.float32)) for t in (hidden, cell))
    network = read_network(write(tmp_path / "lstm.tflite", operators, x, y, states))
    assert network.graph.histogram()["TANH"] == 2 * steps
    assert "UNIDIRECTIONAL_SEQUENCE_LSTM" not in network.graph.histogram()
    assert not network.graph.states
    same(network)


@pytest.mark.parametrize(
    ("op", "problem"),
    [("TheirOwn", "is the custom operator TheirOwn"), ("FlexErf", r"\(FlexErf\) .* is TensorFlow's own")],
)
def test_custom_operators_are_named(tmp_path, op, problem):
    x, y = (TensorSpec((1, 8), dtype=np.float32, name=name) for name in "xy")
    path = tmp_path / "custom.tflite"
    path.write_bytes(build_model([OperatorSpec(op, [x], y)], [x], [y]))
    with pytest.raises(UnsupportedOpError, match=problem):
        read_network(path)


def test_a_state_without_a_batch_is_a_sample_of_its_own(tmp_path):
    x, state, y = Tensor("x", (1, 8), F32), Tensor("state", (2, 1, 8), F32), Tensor("y", (2, 1, 8), F32)
    add = Operator("ADD", (x, state), (y,), {"fused_activation_function": "NONE"})
    path = tmp_path / "net.tflite"
    path.write_bytes(tflite_bytes(Graph("g", [add], (x, state), (y,))))
    network = read_network(path)
    assert network.notes == ("input state, (2, 1, 8) in the file, is (1, 2, 1, 8) in the model: a sample is all of it",)
    inputs = [random(3, 8), random(3, 2, 1, 8)]
    for values in (network.run(inputs), run_graph(network.graph, inputs)):
        np.testing.assert_allclose(values[0], inputs[0][:, None, None] + inputs[1], rtol=1e-6)
