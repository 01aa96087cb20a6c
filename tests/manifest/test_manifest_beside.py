"""The manifest that lies beside a quantised file."""

import dataclasses
import json

import pytest

from tinyedge.errors import ModelError
from tinyedge.manifest.beside import ImageManifest, manifest_of
from tinyedge.manifest.manifest import Calibration, Precision, Preprocessing, TensorSpec, record_file
from tinyedge.manifest.quantised import (
    Form,
    QuantisedManifest,
    SourceRecord,
    quantised_manifest_path,
    read_quantised_manifest,
    write_quantised,
)

IMAGE = TensorSpec("image", (1, 4, 5, 1), 0.02, -3)
PIXELS = Preprocessing((0.5,), (0.25,), "grey", "q = ...")


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "net_int8.tflite"
    path.write_bytes(b"a model")
    return path


def manifest(model, **changes) -> QuantisedManifest:
    whole = QuantisedManifest(
        source=SourceRecord("net.onnx", None, ("a note",)),
        inputs=(IMAGE,),
        outputs=(TensorSpec("scores", (1, 2), 0.1, 0),),
        preprocessing=PIXELS,
        classes=("cat", "dog"),
        form=Form("as it is", {"as it is": 30.0}),
        calibration=Calibration("photos", 100, 0, "min-max", {"min-max": 30.0}),
        precision=Precision(),
        qat=None,
        operators={"CONV_2D": 1},
        parity={},
        file=record_file(model),
        versions={"tinyedge": "1"},
    )
    return dataclasses.replace(whole, **changes)


def test_what_is_written_reads_back_and_tells_of_images_and_classes(model):
    assert manifest_of(model) is None
    write_quantised(model, model.read_bytes(), manifest(model))
    assert read_quantised_manifest(model) == manifest(model)
    assert manifest_of(model) == ImageManifest(IMAGE, PIXELS, ("cat", "dog"))


@pytest.mark.parametrize("changes", [{"preprocessing": None}, {"classes": ()}])
def test_what_is_not_known_is_not_made_up(model, changes):
    write_quantised(model, model.read_bytes(), manifest(model, **changes))
    expected = None if "preprocessing" in changes else ImageManifest(IMAGE, PIXELS, None)
    assert manifest_of(model) == expected


def test_the_manifest_of_another_file_says_nothing(model):
    write_quantised(model, model.read_bytes(), manifest(model))
    model.write_bytes(b"another model")
    assert manifest_of(model) is None
    quantised_manifest_path(model).write_text("{}", encoding="utf-8")
    assert read_quantised_manifest(model) is None


def test_a_damaged_one_is_refused(model):
    write_quantised(model, model.read_bytes(), manifest(model))
    path = quantised_manifest_path(model)
    content = json.loads(path.read_text(encoding="utf-8"))
    for change, said in (({"schema": 99}, "schema 1"), ({"calibration": None}, "is damaged")):
        path.write_text(json.dumps({**content, **change}), encoding="utf-8")
        with pytest.raises(ModelError, match=said):
            manifest_of(model)
