"""What a user can do wrong: one sentence each, and nothing half-written."""

import copy
import sys

import pytest
import torch
from exports.export_inputs import make_dataset
from safetensors.torch import save_file

from tinyedge.conversion.converter import Converter
from tinyedge.conversion.fold import fold_encoder
from tinyedge.conversion.onnx import export_onnx
from tinyedge.encoders.registry import create_encoder
from tinyedge.errors import CheckpointError, ConfigError, GateFailed, ModelError, ToolMissing
from tinyedge.exporter.export import Probe, export_model, load_probe
from tinyedge.exporter.options import ExportOptions
from tinyedge.parity.gate_limits import Gates
from tinyedge.training.classifier_file import StoredClassifier, read_classifier, save_classifier
from tinyedge.training.encoder_file import weights_digest


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return create_encoder("mobilenetv2_035", input_size=16).eval()


def test_too_few_calibration_images():
    with pytest.raises(ConfigError, match="15 calibration images are too few; pass --calibration 16 or more"):
        ExportOptions(calibration_images=15)


def test_a_probe_of_other_classes(encoder, tmp_path):
    probe = Probe(torch.zeros(10, 1280), torch.zeros(10))
    with pytest.raises(ConfigError, match="10 classes and stripes has 4"):
        export_model(encoder, make_dataset(16), probe, tmp_path / "export", ExportOptions())


def test_a_folder_with_files_of_somebody_else_is_not_replaced(encoder, tmp_path):
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"export/notes.txt is not from tinyedge, .* move it away and export again"):
        export_model(encoder, make_dataset(16), None, tmp_path / "export", ExportOptions())
    assert (tmp_path / "export" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "int4"}, "no such precision: int4; choose --precision int8, mixed, 16x8"),
        ({"int8": False, "precision": "mixed"}, "--float quantises nothing"),
        ({"int8": False, "sensitivity": True}, "--float quantises nothing"),
        ({"precision": "16x8", "qat_epochs": 1.0}, "--qat 1 does not fit"),
        ({"int8": False, "qat_epochs": 0.5}, "--qat 0.5 does not fit"),
        ({"qat_epochs": -1.0}, "--qat -1 does not fit"),
    ],
)
def test_precisions_that_do_not_exist(options, message):
    with pytest.raises(ConfigError, match=message):
        ExportOptions(**options)


def test_missing_and_corrupt_probes(encoder, tmp_path):
    with pytest.raises(CheckpointError, match=r"run `tinyedge probe .*` first, or pass --encoder-only"):
        load_probe(tmp_path, encoder)
    path = tmp_path / "probe.safetensors"
    save_file({"weight": torch.ones(4, 8), "bias": torch.ones(4)}, path, metadata={"classes": '["a", "b", "c", "d"]'})
    assert load_probe(tmp_path, encoder).weight.shape == (4, 8)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(CheckpointError, match="is corrupt"):
        load_probe(tmp_path, encoder)
    save_file({"weights": torch.ones(4, 8)}, path)
    with pytest.raises(CheckpointError, match="is corrupt"):
        load_probe(tmp_path, encoder)


def test_a_probe_of_another_encoder(encoder, tmp_path):
    """As where a training ended while the encoder before was probed, or its file was brought from elsewhere."""
    path = tmp_path / "probe.safetensors"
    stored = StoredClassifier(torch.ones(4, 1280), torch.ones(4), tuple("abcd"), 1.0, "digits", weights_digest(encoder))
    save_classifier(path, stored, l2=0.1)
    assert load_probe(tmp_path, encoder).bias.tolist() == [1.0] * 4
    assert read_classifier(path, encoder).encoder_sha256 == weights_digest(encoder)
    other = copy.deepcopy(encoder)
    with torch.no_grad():
        next(other.buffers()).add_(1e-6)  # A statistic of batch norm.
    said = r"probe.safetensors learned from another encoder .*; remove it and run `tinyedge probe"
    for read in (lambda: load_probe(tmp_path, other), lambda: read_classifier(path, other)):
        with pytest.raises(CheckpointError, match=said):
            read()


def test_a_missing_package_is_named_before_any_work(encoder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx2tf", None)
    with pytest.raises(ToolMissing, match=r"an export needs onnx2tf, .* run `.*pip install .*\[export\]'`"):
        export_model(encoder, make_dataset(16), None, tmp_path / "export", ExportOptions())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_converter_that_gives_up_leaves_nothing(encoder, tmp_path):
    onnx = tmp_path / "model.onnx"
    export_onnx(fold_encoder(encoder), 16, "feature", onnx)
    onnx.write_bytes(onnx.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"could not convert .*tinyedge doctor"), Converter() as converter:
        converter.convert(onnx)
    assert list(tmp_path.iterdir()) == [onnx]


@pytest.mark.slow
def test_a_failed_gate_comes_after_everything_is_written(encoder, tmp_path):
    with pytest.raises(
        GateFailed, match=r"PyTorch and ONNX differ by .* first in layer stem, over the limit"
    ) as caught:
        options = ExportOptions(int8=False, calibration_images=16, gates=Gates(float_difference=0.0))
        export_model(encoder, make_dataset(16), None, tmp_path / "export", options)
    assert caught.value.exit_code == 3
    assert {path.name for path in (tmp_path / "export").iterdir()} == {
        "model.onnx",
        "model_float.tflite",
        "export.json",
        "parity.json",
    }
    assert "parity.json" in str(caught.value)


@pytest.mark.slow
def test_weights_far_too_large_are_told_where_no_label_tells(tmp_path):
    torch.manual_seed(0)
    encoder = create_encoder("mobilenetv2_035", input_size=16).eval()
    with torch.no_grad():
        for weight in encoder.parameters():
            weight *= 1e4
    with pytest.raises(
        GateFailed, match=r"of 48 images in common, and chance gives 21.3 %; most noise comes from layer"
    ):
        export_model(encoder, make_dataset(16), None, tmp_path / "export", ExportOptions(calibration_images=16))
