"""INT8 graphs: the scheme itself, its simulation, and the files that LiteRT and TFLite Micro load."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from exports.export_inputs import normalised_images

from tinyedge.errors import ModelError
from tinyedge.manifest.manifest import FLOAT_FILE
from tinyedge.quantisation.bias_correction import correct_output_bias
from tinyedge.quantisation.fake_quantize import FakeQuantize, round_to_codes, round_weight
from tinyedge.quantisation.float_executor import FloatExecutor
from tinyedge.quantisation.noise import reference_of, sqnr_db
from tinyedge.quantisation.observers import ESTIMATORS, choose_ranges, min_max, observe
from tinyedge.quantisation.quantise import activation_quantisations, quantisation_of, quantise, weight_scales
from tinyedge.quantisation.weight_correction import correct_weight_rounding
from tinyedge.runtimes.litert_session import run_tflite
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.tflite.graph import Graph, Operator, Tensor
from tinyedge.tflite.reader import read_any_tflite, read_tflite
from tinyedge.tflite.writer import tflite_bytes

torch.set_num_threads(1)
F32, I32 = np.dtype(np.float32), np.dtype(np.int32)
DENSE = {"weights_format": "DEFAULT", "fused_activation_function": "NONE", "keep_num_dims": True}


@pytest.fixture(scope="module")
def graph(tinynext_export) -> Graph:
    return read_any_tflite(tinynext_export.folder / FLOAT_FILE)


@pytest.fixture(scope="module")
def images(tinynext_export) -> torch.Tensor:
    return normalised_images(tinynext_export.dataset)[:128].permute(0, 2, 3, 1).contiguous()


@pytest.fixture(scope="module")
def few(images) -> torch.Tensor:
    """Those of one batch."""
    return images[:64]


@pytest.mark.parametrize(
    ("low", "high", "scale", "zero_point"),
    [(0.0, 255.0, 1.0, -128), (-128.0, 127.0, 1.0, 0), (-255.0, 0.0, 1.0, 127), (1.0, 510.0, 2.0, -128)],
)
def test_a_range_of_known_codes(low, high, scale, zero_point):
    quantisation = quantisation_of(low, high)
    assert (quantisation.scale, quantisation.zero_point) == (scale, zero_point)


def test_zero_is_exact_and_an_empty_range_is_harmless():
    for low, high in np.random.default_rng(0).normal(size=(100, 2)):
        quantisation = quantisation_of(float(min(low, high)), float(max(low, high)))
        assert float(round_to_codes(torch.zeros(1), quantisation)) == 0
        assert -128 <= quantisation.zero_point <= 127
    assert quantisation_of(0.0, 0.0).scale == 1


@pytest.mark.parametrize("axis", [0, 1, 3])
def test_weights_round_to_the_nearest_of_255_values_a_channel(axis):
    weight = np.random.default_rng(axis).normal(size=(3, 5, 2, 4)).astype(np.float32)
    index: list = [slice(None)] * 4
    index[axis] = 1
    weight[tuple(index)] = 0
    scales = weight_scales(weight, axis)
    rounded = round_weight(torch.from_numpy(weight), axis).numpy()
    for channel in range(weight.shape[axis]):
        index[axis] = channel
        known = np.arange(-127, 128) * scales[channel]
        nearest = known[np.abs(known[:, None] - weight[tuple(index)].ravel()).argmin(axis=0)]
        np.testing.assert_allclose(rounded[tuple(index)].ravel(), nearest, atol=1e-6)


def test_operators_that_copy_share_one_quantisation(graph):
    tensors = [*graph.inputs, *(operator.output for operator in graph.operators)]
    activations = activation_quantisations(graph, dict.fromkeys(tensors, (-1.0, 2.0)) | {tensors[0]: (-9.0, 9.0)})
    pad = next(operator for operator in graph.operators if operator.op == "PAD")
    assert pad.inputs[0] is graph.inputs[0]
    assert activations[pad.output].equals(quantisation_of(-9.0, 9.0))
    for operator in graph.operators:
        if operator.op == "RESHAPE":
            assert activations[operator.output].equals(activations[operator.inputs[0]])
        if operator.op == "SOFTMAX":
            assert (activations[operator.output].scale, activations[operator.output].zero_point) == (1 / 256, -128)


def test_a_bias_beside_tiny_weights_stays_in_int32():
    x, y = Tensor("x", (1, 2), F32), Tensor("y", (1, 2), F32)
    weight = Tensor("w", (2, 2), F32, data=np.array([[1e-12, 0], [1, -1]], np.float32))
    bias = Tensor("b", (2,), F32, data=np.array([1000, 0.5], np.float32))
    graph = Graph("tiny", [Operator("FULLY_CONNECTED", (x, weight, bias), (y,), DENSE)], (x,), (y,))
    _, weights, biases = quantise(graph, {x: (-1, 1), y: (-1, 1000)}).operators[0].inputs
    scale = weights.quantisation.scales.astype(np.float64) * quantisation_of(-1, 1).scale
    np.testing.assert_allclose(biases.data * scale, [1000, 0.5], rtol=1e-2)
    assert biases.quantisation is None  # Every kernel derives it.


@pytest.mark.parametrize(("largest", "activation"), [(5.0, "RELU6"), (1e-9, "RELU")])
def test_a_bound_of_six_that_no_interpreter_can_count_to_is_left_out(largest, activation, tmp_path):
    weight = Tensor("w", (2, 3), F32, data=np.full((2, 3), largest / 3, np.float32))
    source, output = Tensor("x", (1, 3), F32), Tensor("y", (1, 2), F32)
    dense = Operator(
        "FULLY_CONNECTED", (source, weight, None), (output,), {**DENSE, "fused_activation_function": "RELU6"}
    )
    ranges = {source: (0.0, 1.0), output: (0.0, largest)}
    quantised = quantise(Graph("g", [dense], (source,), (output,)), ranges)
    assert quantised.operators[0].options["fused_activation_function"] == activation
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite_bytes(quantised))
    assert TflmRuntime(path).run(np.full((1, 3), 127, np.int8)).tolist() == [[127, 127]]


def test_the_simulation_has_the_noise_of_the_kernels(graph, images, tmp_path):
    ranges = {tensor: min_max(histogram) for tensor, histogram in observe(FloatExecutor(graph), (images,)).items()}
    int8 = quantise(graph, ranges)
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite_bytes(int8))
    source, output = (tensor.quantisation for tensor in (int8.inputs[0], int8.outputs[0]))
    codes = np.clip(np.round(images.numpy() / source.scale) + source.zero_point, -128, 127).astype(np.int8)
    with torch.no_grad():
        floats = FloatExecutor(graph)(images)
        simulated = sqnr_db((floats,), FloatExecutor(graph).outputs((images,), FakeQuantize(graph, ranges)))
    wanted = floats.numpy()
    for run, count in ((run_tflite, 128), (lambda path, codes: TflmRuntime(path).run(codes), 32)):
        computed = (run(path, codes[:count]) - np.float32(output.zero_point)) * output.scale
        ratio = 10 * np.log10(np.square(wanted[:count]).sum() / np.square(wanted[:count] - computed).sum())
        assert ratio == pytest.approx(simulated, abs=2)


def test_a_file_reads_back_as_it_was_written(tinynext_export, mobilenetv2_export, tmp_path):
    for export in (tinynext_export, mobilenetv2_export):
        for name, read in (("model_int8.tflite", read_tflite), (FLOAT_FILE, read_any_tflite)):
            graph, path = read(export.folder / name), tmp_path / name
            content = tflite_bytes(graph)
            assert content == tflite_bytes(read(export.folder / name))
            path.write_bytes(content)
            again = read(path)
            assert [operator.op for operator in again.operators] == [operator.op for operator in graph.operators]
            for ours, theirs in zip(again.operators, graph.operators, strict=True):
                assert (ours.options, ours.version) == (theirs.options, theirs.version)
                for a, b in zip((*ours.inputs, *ours.outputs), (*theirs.inputs, *theirs.outputs), strict=True):
                    assert (a.shape, a.dtype) == (b.shape, b.dtype)
                    assert a.data is None if b.data is None else np.array_equal(a.data, b.data)
                    assert a.quantisation is None if b.quantisation is None else a.quantisation.equals(b.quantisation)


def test_the_int8_file_is_little_more_than_its_weights(tinynext_export):
    path = tinynext_export.folder / "model_int8.tflite"
    constants = {tensor for operator in read_tflite(path).operators for tensor in operator.inputs if tensor.is_constant}
    assert path.stat().st_size < 1.15 * sum(tensor.elements for tensor in constants)


def test_what_cannot_be_written_is_refused():
    x = Tensor("x", (1, 4), F32)
    with pytest.raises(ModelError, match=r"operator 0 \(ERF\) cannot be written"):
        tflite_bytes(Graph("erf", [Operator("ERF", (x,), (Tensor("y", (1, 4), F32),))], (x,), (x,)))


def test_a_histogram_counts_every_value(graph, images):
    network, sizes = FloatExecutor(graph), {}

    def note(tensor, value):
        sizes[tensor] = (value.numel(), float(value.min()), float(value.max()))
        return value

    with torch.no_grad():
        network(images[:70], note)
    for tensor, histogram in observe(network, (images[:70],)).items():
        count, low, high = sizes[tensor]
        assert histogram.counts.sum() == count
        assert histogram.low == pytest.approx(min(low, 0), abs=1e-5)
        assert histogram.high == pytest.approx(max(high, 0), abs=1e-5)


def test_rare_values_are_cut_off_where_that_pays():
    x = Tensor("x", (1, 1000, 1, 1), F32)
    y = Tensor("y", (1, 1000, 1, 1), F32)
    graph = Graph("relu", [Operator("RELU", (x,), (y,))], (x,), (y,))
    values = torch.randn(100, 1000, 1, 1, generator=torch.Generator().manual_seed(0))
    values[0, 0] = 40.0
    histogram = observe(FloatExecutor(graph), (values,))[x]
    assert histogram.high == 40
    ranges = {name: estimate(histogram) for name, estimate in ESTIMATORS.items()}
    assert ranges["min-max"][1] == 40
    assert 3 < ranges["percentile"][1] < 7
    assert 12 <= ranges["least-squares"][1] < 40  # Cutting one value by 28 costs as much as rounding all others.
    errors = {
        name: float((round_to_codes(values, quantisation_of(*limits)) - values).square().sum())
        for name, limits in ranges.items()
    }
    assert errors["least-squares"] == min(errors.values())


def test_the_best_of_the_candidates_is_chosen(graph, few):
    network = FloatExecutor(graph)
    means, unseen = reference_of(network, (few[:32],)), reference_of(network, (few[32:],))
    choice = choose_ranges(network, means.inputs, means, unseen)
    assert set(choice.sqnr_db) == set(ESTIMATORS)
    assert choice.sqnr_db[choice.name] == max(choice.sqnr_db.values())
    corrected = correct_output_bias(graph, choice.ranges, means)
    found = FloatExecutor(corrected).outputs(unseen.inputs, FakeQuantize(corrected, choice.ranges))
    assert sqnr_db(unseen.outputs, found) == pytest.approx(choice.sqnr_db[choice.name])
    useless = network.outputs(unseen.inputs, FakeQuantize(graph, dict.fromkeys(choice.ranges, (-1000.0, 1000.0))))
    assert sqnr_db(unseen.outputs, useless) < 3 < choice.sqnr_db[choice.name]


def test_the_mean_error_of_the_output_goes_into_its_bias(graph, few):
    network = FloatExecutor(graph)
    means = reference_of(network, (few,))
    ranges = choose_ranges(network, (few,), means, means).ranges
    corrected = correct_output_bias(graph, ranges, means)

    def mean_error(changed: Graph) -> torch.Tensor:
        with torch.no_grad():  # The activations are the same objects; only a bias is another one.
            return (FloatExecutor(changed)(few, FakeQuantize(changed, ranges)) - network(few)).mean(0)

    before, after = mean_error(graph), mean_error(corrected)
    assert after.norm() < 0.5 * before.norm()
    assert corrected.histogram() == graph.histogram()


def test_the_mean_is_the_networks_and_not_that_of_changed_biases(graph, few):
    network = FloatExecutor(graph)
    means = reference_of(network, (few,))
    ranges = {tensor: min_max(histogram) for tensor, histogram in observe(network, (few,)).items()}
    form = correct_weight_rounding(graph, (few,))  # In float another function.
    corrected = correct_output_bias(form, ranges, means)

    def mean_error(changed: Graph) -> float:
        (found,) = FloatExecutor(changed).outputs((few,), FakeQuantize(changed, ranges))
        return float((found - means.outputs[0]).mean(0).norm())

    assert mean_error(corrected) < 0.5 * mean_error(form)
    assert mean_error(corrected) < 0.5 * mean_error(
        correct_output_bias(form, ranges, reference_of(FloatExecutor(form), (few,)))
    )


def test_an_output_behind_a_softmax_has_no_bias():
    x, y, z = (Tensor(name, (1, 3), F32) for name in "xyz")
    weight, bias = (Tensor("c", shape, F32, data=np.ones(shape, np.float32)) for shape in ((3, 3), (3,)))
    dense = Operator("FULLY_CONNECTED", (x, weight, bias), (y,), DENSE)
    graph = Graph("softmax", [dense, Operator("SOFTMAX", (y,), (z,), {"beta": 1.0})], (x,), (z,))
    assert (
        correct_output_bias(
            graph, dict.fromkeys((x, y, z), (-1.0, 1.0)), reference_of(FloatExecutor(graph), (torch.zeros(4, 3),))
        )
        is graph
    )
    relu = dataclasses.replace(dense, options=DENSE | {"fused_activation_function": "RELU"})
    graph = Graph("relu", [relu], (x,), (y,))
    assert (
        correct_output_bias(
            graph, dict.fromkeys((x, y), (-1.0, 1.0)), reference_of(FloatExecutor(graph), (torch.zeros(4, 3),))
        )
        is graph
    )
    assert math.isclose(float(bias.data.sum()), 3)
