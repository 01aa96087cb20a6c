"""Whole exports. They convert with TensorFlow, so the exports are shared and the file is slow."""

import hashlib
import json

import numpy as np
import pytest
import torch

from tinyedge.exporter.export import export_model
from tinyedge.exporter.options import ExportOptions
from tinyedge.manifest.manifest import read_manifest
from tinyedge.manifest.model_path import resolve_model
from tinyedge.manifest.preprocess import normalise_images, quantise_images
from tinyedge.ops import OPERATORS, tflm_operators
from tinyedge.parity.parity import dequantise
from tinyedge.quantisation.deployable import check_deployable
from tinyedge.quantisation.sensitivity import LARGEST_MACS_SHARE, read_sensitivity
from tinyedge.runtimes.litert import LitertRuntime
from tinyedge.runtimes.litert_session import run_tflite
from tinyedge.runtimes.onnx import run_onnx
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.tflite.reader import read_any_tflite, read_tflite

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
FILES = {"model.onnx", "model_float.tflite", "model_int8.tflite", "export.json", "parity.json"}


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.fixture(params=["tinynext_export", "mobilenetv2_export"])
def exported(request):
    return request.getfixturevalue(request.param)


def test_every_file_is_there_with_its_hash(exported):
    assert {path.name for path in exported.folder.iterdir()} == FILES | {"plots"}
    assert {path.name for path in (exported.folder / "plots").iterdir()} == {"layers.png", "outputs.png"}
    assert read_manifest(exported.folder) == exported.manifest
    for name, record in exported.manifest.files.items():
        content = (exported.folder / name).read_bytes()
        assert (record.sha256, record.bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    assert set(exported.manifest.files) == FILES - {"export.json"}
    assert json.loads((exported.folder / "parity.json").read_text())["failures"] == []


def test_all_stages_agree_with_the_unfolded_network(exported):
    images = normalise_images(exported.dataset.test.images[:9].numpy(), exported.dataset.mean, exported.dataset.std)
    with torch.no_grad():
        expected = exported.encoder(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
        if exported.probe:
            expected = expected @ exported.probe.weight.T + exported.probe.bias
    expected = expected.numpy()
    size = np.abs(expected).max()
    assert np.abs(run_onnx(exported.folder / "model.onnx", images) - expected).max() < 1e-4 * size
    assert np.abs(run_tflite(exported.folder / "model_float.tflite", images) - expected).max() < 1e-4 * size


def test_int8_runs_in_tflite_micro_and_in_litert(exported):
    pytest.importorskip("tflite_micro")
    model = exported.folder / "model_int8.tflite"
    pixels = exported.dataset.test.images[:6].numpy()
    codes = quantise_images(pixels, exported.manifest)
    tflm, litert = TflmRuntime(model).run(codes), LitertRuntime(model).run(codes)
    if "FULLY_CONNECTED" not in exported.manifest.operators:
        assert np.array_equal(tflm, litert)  # They round alike but for FULLY_CONNECTED.
    tflm_real, litert_real = (dequantise(outputs, exported.manifest.output) for outputs in (tflm, litert))
    images = normalise_images(pixels, exported.dataset.mean, exported.dataset.std)
    floats = run_onnx(exported.folder / "model.onnx", images)
    # Random weights amplify what rounding does: a trained encoder comes much closer.
    assert cosine(tflm_real, litert_real) > 0.95
    assert cosine(tflm_real, floats) > 0.9
    assert cosine(tflm_real, np.roll(floats, 1, axis=0)) < cosine(tflm_real, floats)


def test_the_graph_is_one_that_a_microcontroller_runs(exported):
    graph = read_tflite(exported.folder / "model_int8.tflite")
    assert set(graph.histogram()) <= tflm_operators("int8")
    assert not {"TRANSPOSE", "QUANTIZE", "DEQUANTIZE"} & set(graph.histogram())
    assert graph.histogram() == exported.manifest.operators
    assert {tensor.dtype.name for op in graph.operators for tensor in (*op.inputs, *op.outputs) if tensor} == {
        "int8",
        "int32",
    }
    grouped = [
        op.output.name
        for op in graph.operators
        if op.op == "CONV_2D" and op.inputs[1].shape[3] != op.inputs[0].shape[3]
    ]
    assert grouped == []
    # Each output channel of a convolution has its own scale.
    weights = [op.inputs[1] for op in graph.operators if op.op in ("CONV_2D", "DEPTHWISE_CONV_2D")]
    assert all(len(tensor.quantisation.scales) == tensor.shape[0 if tensor.shape[0] > 1 else 3] for tensor in weights)


def test_operators_of_tinynext(tinynext_export):
    assert tinynext_export.manifest.operators == {
        "ADD": 22,
        "BATCH_MATMUL": 12,
        "CONV_2D": 41,
        "DEPTHWISE_CONV_2D": 19,
        "FULLY_CONNECTED": 12,
        "MEAN": 3,
        "MUL": 2,
        "PAD": tinynext_export.manifest.operators["PAD"],
        "RESHAPE": 12,
        "SOFTMAX": 6,
    }
    assert tinynext_export.manifest.transposes == 0


def test_operators_of_mobilenetv2(mobilenetv2_export):
    operators = dict(mobilenetv2_export.manifest.operators)
    operators.pop("PAD")
    assert operators == {"ADD": 11, "CONV_2D": 35, "DEPTHWISE_CONV_2D": 17, "MEAN": 1}


def test_the_manifest_says_how_to_feed_the_model(tinynext_export):
    manifest = tinynext_export.manifest
    graph = read_tflite(tinynext_export.folder / "model_int8.tflite")
    assert manifest.input.shape == graph.inputs[0].shape == (1, 24, 24, 3)
    assert manifest.output.shape == graph.outputs[0].shape == (1, 4)
    for spec, tensor in ((manifest.input, graph.inputs[0]), (manifest.output, graph.outputs[0])):
        assert spec.scale == pytest.approx(tensor.quantisation.scale)
        assert spec.zero_point == tensor.quantisation.zero_point
    assert manifest.kind == "classifier"
    assert manifest.classes == tinynext_export.dataset.classes
    assert manifest.parameters == 836_208
    assert (manifest.calibration.dataset, manifest.calibration.images, manifest.calibration.seed) == ("stripes", 64, 3)


def test_int8_keeps_the_accuracy(tinynext_export):
    top1 = tinynext_export.manifest.parity["top1"]
    assert top1["images"] == len(tinynext_export.dataset.test)
    assert top1["float_top1"] > 60  # Four classes, an untrained encoder.
    assert top1["drop"] < 10
    assert tinynext_export.manifest.parity["float_int8"]["sqnr_db"] > 10


def test_the_same_inputs_give_the_same_bytes(mixed_export, tmp_path):
    options = ExportOptions(calibration_images=64, seed=3, precision="mixed")
    again = tmp_path / "again"
    export_model(mixed_export.encoder, mixed_export.dataset, mixed_export.probe, again, options)
    written = {path.relative_to(again) for path in again.rglob("*") if path.is_file()}
    assert len(written) == len(FILES) + 3  # The pictures, and which operators are 16x8.
    for name in sorted(written):
        assert (again / name).read_bytes() == (mixed_export.folder / name).read_bytes(), name


def test_the_report_names_every_layer_with_weights(tinynext_export, mobilenetv2_export):
    for exported, expected in (
        (
            tinynext_export,
            {"stem.0", "stage1.2 depthwise", "stage3.5 mixer query", "stage4.1 mixer affine", "head direct"},
        ),
        (mobilenetv2_export, {"stem", "stage1.0 depthwise", "stage4.3 project", "head"}),
    ):
        layers = json.loads((exported.folder / "parity.json").read_text())["layers"]
        graph = read_tflite(exported.folder / "model_int8.tflite")
        assert [(layer["index"], layer["op"]) for layer in layers] == [(op.index, op.op) for op in graph.operators]
        weighted = [layer["name"] for layer in layers if OPERATORS[layer["op"]].weights]
        assert len(set(weighted)) == len(weighted)
        assert expected <= set(weighted)
        assert all(layer["name"] for layer in layers)
    names = {layer["name"] for layer in exported.manifest.parity["worst_layers"]}
    assert len(exported.manifest.parity["worst_layers"]) == 5
    assert names <= {layer["name"] for layer in layers}
    softmax = [layer["name"] for layer in _layers(tinynext_export) if layer["op"] == "SOFTMAX"]
    assert softmax == [f"stage3.{block} mixer" for block in range(6)]


def _layers(exported) -> list[dict]:
    return json.loads((exported.folder / "parity.json").read_text())["layers"]


def test_the_report_compares_every_runtime(tinynext_export, mobilenetv2_export):
    parity = tinynext_export.manifest.parity
    rows = {row["runtime"]: row for row in parity["runtimes"]}
    assert list(rows) == ["pytorch", "onnx", "tflite", "litert-int8", "tflm-int8", "aot-int8"]
    assert {row["images"] for row in rows.values()} == {48}
    assert rows["onnx"]["agreement"] == rows["tflite"]["agreement"] == 100
    assert rows["pytorch"]["top1"] == rows["aot-int8"]["float_top1"] == parity["top1"]["float_top1"]
    assert rows["litert-int8"]["top1"] == parity["top1"]["int8_top1"]
    assert rows["tflm-int8"]["top1"] == rows["aot-int8"]["top1"]
    for exported, of in ((tinynext_export, "logits"), (mobilenetv2_export, "feature")):
        assert exported.manifest.parity["bit_exact"] == {"images": 48, "differing_values": 0, "first_image": None}
        neighbours = exported.manifest.parity["neighbours"]
        assert (neighbours["of"], neighbours["images"]) == (of, 48)
        assert neighbours["chance"] < neighbours["overlap"] < 100
    assert mobilenetv2_export.manifest.parity["runtimes"] == []


def test_a_mixed_export_is_int8_and_16x8(mixed_export):
    folder, manifest = mixed_export.folder, mixed_export.manifest
    written = {path.name for path in folder.iterdir()}
    assert written == FILES - {"model_int8.tflite"} | {"model_mixed.tflite", "sensitivity.json", "plots"}
    assert read_manifest(folder) == manifest
    assert (manifest.model, manifest.precision.name) == ("model_mixed.tflite", "mixed")
    assert resolve_model(folder.parent) == folder / "model_mixed.tflite"
    float_graph, graph = read_any_tflite(folder / "model_float.tflite"), read_tflite(folder / "model_mixed.tflite")
    int16 = [operator for operator in graph.operators if operator.output.dtype == np.int16]
    assert [operator.op for operator in int16 if operator.op != "QUANTIZE"] == [
        one.op for one in manifest.precision.int16x8
    ]
    assert {graph.inputs[0].dtype.name, graph.outputs[0].dtype.name} == {"int8"}
    assert 0 < manifest.precision.macs_share <= LARGEST_MACS_SHARE
    assert all(one.op == float_graph.operators[one.position].op and one.name for one in manifest.precision.int16x8)
    report = read_sensitivity(folder)
    assert len(report.operators) == sum(operator.op != "PAD" for operator in float_graph.operators)
    assert report.operators[0].position in {one.position for one in manifest.precision.int16x8}
    parity = json.loads((folder / "parity.json").read_text())
    assert parity["bit_exact"]["differing_values"] == 0
    assert len(parity["layers"]) == len(float_graph.operators)


def test_no_path_of_this_machine_is_in_the_files(exported):
    for name in FILES:
        content = (exported.folder / name).read_bytes()
        assert b"site-packages" not in content, name
        assert str(exported.folder).encode() not in content, name


def test_a_float_file_fails_the_gate(exported):
    check = check_deployable(exported.folder / "model_float.tflite")
    assert len(check.failures) == 1
    assert "float32" in check.failures[0]
