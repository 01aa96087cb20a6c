"""A float network of several inputs and outputs to its INT8 file, manifest and report."""

import json

import numpy as np
import pytest
from exports.tiny_graphs import CONV

from tinyedge.conversion.intake import run_graph
from tinyedge.conversion.network import Layout, SourceNetwork
from tinyedge.errors import ConfigError
from tinyedge.exporter.options import QuantiseOptions
from tinyedge.exporter.quantise_model import QuantisedModel, Source, quantise_model
from tinyedge.manifest.quantised import read_quantised_manifest
from tinyedge.parity.gate_limits import NetworkGates
from tinyedge.quantisation.calibration import draw_apart
from tinyedge.quantisation.calibration_data import open_calibration
from tinyedge.tflite.graph import Graph, Operator, Tensor
from tinyedge.tflite.reader import read_tflite

F32, I32 = np.dtype(np.float32), np.dtype(np.int32)
RNG = np.random.default_rng(0)
DENSE = {"fused_activation_function": "RELU", "weights_format": "DEFAULT", "keep_num_dims": True}
HALVING = {**CONV, "stride_h": 2, "stride_w": 2, "fused_activation_function": "RELU"}
SOURCE = Source("theirs.onnx", "0" * 64, "LiteRT", command="tinyedge quantise theirs.onnx")


def activation(name: str, *shape: int) -> Tensor:
    return Tensor(name, shape, F32)


def constant(*shape: int) -> Tensor:
    return Tensor("w", shape, F32, data=RNG.normal(size=shape).astype(np.float32))


def network() -> SourceNetwork:
    """An image, channels first in its source, and a vector; a score a class, and a map."""
    image, sensors = activation("image", 1, 6, 8, 3), activation("sensors", 1, 4)
    hidden, pooled, vector = activation("map", 1, 3, 4, 5), activation("pooled", 1, 5), activation("vector", 1, 5)
    scores = activation("scores", 1, 5)
    axes = Tensor("axes", (2,), I32, data=np.array([1, 2], np.int32))
    operators = [
        Operator("CONV_2D", (image, constant(5, 3, 3, 3), constant(5)), (hidden,), HALVING),
        Operator("MEAN", (hidden, axes), (pooled,), {"keep_dims": False}),
        Operator("FULLY_CONNECTED", (sensors, constant(5, 4), constant(5)), (vector,), DENSE),
        Operator("ADD", (pooled, vector), (scores,), {"fused_activation_function": "NONE"}),
    ]
    graph = Graph("theirs", operators, (image, sensors), (scores, hidden))
    layouts = Layout("image", (1, 3, 6, 8), (0, 2, 3, 1)), Layout("sensors", (1, 4), (0, 1))
    outputs = Layout("scores", (1, 5), (0, 1)), Layout("map", (1, 5, 3, 4), (0, 2, 3, 1))

    def run(inputs):
        found = run_graph(graph, [layout.to_graph(values) for layout, values in zip(layouts, inputs, strict=True)])
        return [layout.to_source(values) for layout, values in zip(outputs, found, strict=True)]

    return SourceNetwork(graph, layouts, outputs, ("input image is channels last",), run)


SAMPLES = {
    "image": RNG.normal(size=(100, 3, 6, 8)).astype(np.float32),
    "sensors": RNG.normal(size=(100, 4)).astype(np.float32),
}
NETWORK = network()


def quantised(out, **options) -> QuantisedModel:
    data = open_calibration(SAMPLES, NETWORK.graph.inputs, NETWORK.inputs)
    return quantise_model(SOURCE, NETWORK, data, out, QuantiseOptions(**options))


def test_every_output_is_close_and_every_stage_compared(tmp_path):
    found = quantised(tmp_path / "theirs_int8.tflite")
    assert not found.failures
    scores, last_map = found.parity.outputs
    assert (scores.name, last_map.name) == ("scores", "map")
    assert scores.cosine > 0.999
    assert scores.top1_agreement > 80
    assert last_map.top1_agreement is None
    assert min(scores.sqnr_db, last_map.sqnr_db) > 25
    assert found.parity.bit_exact.differing_values == 0
    assert found.parity.bit_exact.images == found.parity.samples == 20
    graph = read_tflite(found.path)
    assert [tensor.name for tensor in (*graph.inputs, *graph.outputs)] == ["image", "sensors", "scores", "map"]


def test_samples_kept_apart_stay_unseen_where_there_are_enough(tmp_path):
    found = quantised(tmp_path / "theirs_int8.tflite", calibration_count=64)
    assert found.parity.unseen
    assert found.manifest.calibration.images == 64


def test_of_few_samples_those_kept_apart_set_the_ranges_too(tmp_path):
    samples = {name: values.copy() for name, values in SAMPLES.items()}
    samples["sensors"][draw_apart(100, QuantiseOptions().calibration_count, seed=0).unseen[0]] *= 20
    data = open_calibration(samples, NETWORK.graph.inputs, NETWORK.inputs)
    found = quantise_model(SOURCE, NETWORK, data, tmp_path / "theirs_int8.tflite", QuantiseOptions())
    assert not found.parity.unseen
    usual = np.abs(np.delete(samples["sensors"], np.abs(samples["sensors"]).max(axis=1).argmax(), axis=0)).max()
    assert found.manifest.inputs[1].scale > 2 * (2 * usual / 255)


def test_the_manifest_says_what_was_made_of_what(tmp_path):
    found = quantised(tmp_path / "theirs_int8.tflite")
    manifest = read_quantised_manifest(found.path)
    assert manifest == found.manifest
    assert manifest.source.name == "theirs.onnx"
    assert "input image is channels last" in manifest.source.notes
    assert "arrays (image): (100, 3, 6, 8) was read as NCHW" in manifest.source.notes
    assert manifest.calibration.images == 100
    assert [spec.shape for spec in manifest.inputs] == [(1, 6, 8, 3), (1, 4)]
    assert manifest.operators == read_tflite(found.path).histogram()
    assert manifest.preprocessing is None


def test_the_same_arguments_give_the_same_bytes(tmp_path):
    names = ("one", "two")
    files = [quantised(tmp_path / name / "theirs.tflite").path for name in names]
    for suffix in (".tflite", ".json"):
        assert files[0].with_suffix(suffix).read_bytes() == files[1].with_suffix(suffix).read_bytes()


@pytest.mark.parametrize("step", ["calibration samples", "INT8", "parity", "layers"])
def test_what_is_interrupted_leaves_no_model_without_its_manifest(tmp_path, step):
    def interrupt(begun: str) -> None:
        if begun == step:
            raise KeyboardInterrupt

    data = open_calibration(SAMPLES, NETWORK.graph.inputs, NETWORK.inputs)
    options = QuantiseOptions(layers=True)
    with pytest.raises(KeyboardInterrupt):
        quantise_model(SOURCE, NETWORK, data, tmp_path / "theirs_int8.tflite", options, interrupt)
    assert not list(tmp_path.iterdir())


def test_16x8_is_finer_and_mixed_is_no_coarser(tmp_path):
    figures = {
        precision: quantised(tmp_path / f"{precision}.tflite", precision=precision).parity.outputs
        for precision in ("int8", "mixed", "16x8")
    }
    assert figures["16x8"][0].max_error < figures["int8"][0].max_error
    assert figures["mixed"][0].cosine >= figures["int8"][0].cosine - 1e-4


def test_a_finish_is_recorded_and_never_makes_it_worse(tmp_path):
    found = quantised(tmp_path / "finished.tflite", qat_epochs=2.0)
    qat = json.loads(found.manifest_path.read_text(encoding="utf-8"))["qat"]
    assert qat["epochs"] == 2.0
    assert found.parity.bit_exact.differing_values == 0
    assert found.parity.outputs[0].cosine > 0.999


def test_the_noise_after_every_operator_is_that_of_what_goes_in_and_its_own(tmp_path):
    layers = quantised(tmp_path / "theirs.tflite", layers=True).parity.layers
    assert [layer.op for layer in layers] == ["CONV_2D", "MEAN", "FULLY_CONNECTED", "ADD"]
    assert layers[3].input_sqnr_db == min(layers[1].sqnr_db, layers[2].sqnr_db)
    assert all(20 < layer.sqnr_db <= layer.own_sqnr_db + 0.5 for layer in layers)


def test_a_gate_that_does_not_hold_is_named_and_the_file_written(tmp_path):
    found = quantised(tmp_path / "theirs.tflite", gates=NetworkGates(cosine=1.0))
    assert found.path.is_file()
    assert found.manifest_path.is_file()
    assert any("output scores" in failure and "under the limit of 1" in failure for failure in found.failures)


def test_a_wrong_float_graph_is_found(tmp_path, monkeypatch):
    wrong = SourceNetwork(
        NETWORK.graph, NETWORK.inputs, NETWORK.outputs, (), lambda inputs: [1.1 * one for one in NETWORK.run(inputs)]
    )
    data = open_calibration(SAMPLES, NETWORK.graph.inputs, NETWORK.inputs)
    found = quantise_model(SOURCE, wrong, data, tmp_path / "wrong.tflite", QuantiseOptions())
    assert any("LiteRT and the float graph differ" in failure for failure in found.failures)


@pytest.mark.parametrize("ends", [(1, 6, 4), (6, 4)])
def test_a_network_without_room_for_a_batch(tmp_path, ends):
    x, y, z = activation("x", *ends), activation("y", 6, 4), activation("z", 6, 4)
    shape = Tensor("shape", (2,), I32, data=np.array([6, 4], np.int32))
    operators = [
        Operator("RESHAPE", (x, shape), (y,)),
        Operator("FULLY_CONNECTED", (y, constant(4, 4), constant(4)), (z,), DENSE),
    ]
    graph = Graph("rows", operators, (x,), (z,))
    layouts = Layout("x", ends, tuple(range(len(ends)))), Layout("z", (6, 4), (0, 1))

    def run(inputs):
        rows = inputs[0].reshape(-1, 6, 4) @ operators[1].inputs[1].data.T + operators[1].inputs[2].data
        return [np.maximum(rows, 0)]

    source = SourceNetwork(graph, layouts[:1], layouts[1:], (), run)
    data = open_calibration(RNG.normal(size=(64, 6, 4)).astype(np.float32), graph.inputs, source.inputs)
    found = quantise_model(SOURCE, source, data, tmp_path / "rows.tflite", QuantiseOptions())
    assert not found.failures
    assert found.parity.outputs[0].cosine > 0.999


def mean_of_squares() -> SourceNetwork:
    """Samples (4, 6) to a number each, without a batch."""
    x, squares, y = activation("x", 1, 4, 6), activation("squares", 1, 4, 6), activation("y")
    axes = Tensor("axes", (3,), I32, data=np.array([0, 1, 2], np.int32))
    operators = [
        Operator("SQUARE", (x,), (squares,)),
        Operator("MEAN", (squares, axes), (y,), {"keep_dims": False}),
    ]
    graph = Graph("power", operators, (x,), (y,))
    layouts = (Layout("x", (1, 4, 6), (0, 1, 2)),), (Layout("y", (1,), (0,)),)
    return SourceNetwork(graph, *layouts, (), lambda inputs: run_graph(graph, inputs))


def test_a_number_without_a_batch_is_quantised_and_nothing_of_it_is_trained(tmp_path):
    source = mean_of_squares()
    data = open_calibration(RNG.normal(size=(64, 4, 6)), source.graph.inputs, source.inputs)
    quantised = quantise_model(SOURCE, source, data, tmp_path / "power.tflite", QuantiseOptions())
    assert quantised.parity.bit_exact.differing_values == 0
    assert quantised.parity.outputs[0].sqnr_db > 25
    with pytest.raises(ConfigError, match=r"^theirs.onnx has no weights to train: leave out --qat$"):
        quantise_model(SOURCE, source, data, tmp_path / "trained.tflite", QuantiseOptions(qat_epochs=1))
