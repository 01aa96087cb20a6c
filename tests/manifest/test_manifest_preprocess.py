import dataclasses

import numpy as np
import pytest

from tinyedge.errors import DataError, ModelError
from tinyedge.manifest.manifest import (
    Calibration,
    ExportManifest,
    FileRecord,
    Int16x8Operator,
    Precision,
    Preprocessing,
    TensorSpec,
    read_manifest,
    write_manifest,
)
from tinyedge.manifest.preprocess import FORMULA, input_table, normalise_images, quantise_images

MEAN, STD = (0.49, 0.5, 0.25), (0.25, 0.2, 0.3)


def manifest(scale: float | None = 0.0173, zero_point: int | None = -7) -> ExportManifest:
    return ExportManifest(
        kind="classifier",
        encoder="tinynext_t",
        act="relu",
        strides=(2, 1, 2, 2, 2),
        parameters=836_208,
        weights_sha256="00",
        classes=("cat", "dog"),
        input=TensorSpec("image", (1, 5, 7, 3), scale, zero_point),
        output=TensorSpec("logits", (1, 2), 0.1, 3),
        preprocessing=Preprocessing(MEAN, STD, "RGB", FORMULA),
        calibration=Calibration("pets", 512, 0, "min-max", {"min-max": 25.0}),
        operators={"CONV_2D": 3},
        transposes=0,
        files={"model.onnx": FileRecord("00", 12)},
        parity={"images": 64, "top1": None},
        versions={"torch": "2.14.1"},
    )


def test_quantised_pixels_equal_the_formula_one_by_one():
    images = np.random.default_rng(0).integers(0, 256, (4, 5, 7, 3), dtype=np.uint8)
    quantised = quantise_images(images, manifest())
    assert quantised.dtype == np.int8
    for n, y, x, c in np.ndindex(images.shape):
        real = (float(images[n, y, x, c]) / 255 - MEAN[c]) / STD[c]
        assert quantised[n, y, x, c] == min(max(int(np.floor(real / 0.0173 + 0.5)) - 7, -128), 127)


def test_both_layouts_give_the_same():
    images = np.random.default_rng(1).integers(0, 256, (2, 5, 7, 3), dtype=np.uint8)
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    assert np.array_equal(quantise_images(planes, manifest()), quantise_images(images, manifest()))
    assert np.array_equal(normalise_images(planes, MEAN, STD), normalise_images(images, MEAN, STD))


def test_quantised_images_stand_for_normalised_ones():
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    wide = manifest(scale=0.03, zero_point=0)
    wide = dataclasses.replace(wide, input=dataclasses.replace(wide.input, shape=(1, 16, 16, 3)))
    real = quantise_images(images, wide).astype(np.float64) * 0.03
    assert np.abs(real - normalise_images(images, MEAN, STD)).max() <= 0.015 + 1e-6


def test_the_table_saturates_and_rises():
    table = input_table(manifest(scale=0.005, zero_point=0)).astype(int)
    assert table.shape == (3, 256)
    assert (np.diff(table, axis=1) >= 0).all()
    assert table.min() == -128
    assert table.max() == 127


def test_wrong_images_are_named():
    with pytest.raises(DataError, match="float32"):
        quantise_images(np.zeros((1, 5, 7, 3), np.float32), manifest())
    with pytest.raises(DataError, match="7x5 pixels and the model takes 5x7"):
        quantise_images(np.zeros((1, 7, 5, 3), np.uint8), manifest())
    with pytest.raises(DataError, match="1 channels and the model takes 3"):
        quantise_images(np.zeros((1, 5, 7, 1), np.uint8), manifest())
    with pytest.raises(DataError, match="no INT8 model"):
        quantise_images(np.zeros((1, 5, 7, 3), np.uint8), manifest(None, None))


def test_the_manifest_comes_back_as_it_was_written(tmp_path):
    folder = tmp_path / "run" / "export"
    write_manifest(folder, manifest())
    assert read_manifest(folder) == manifest()
    without = dataclasses.replace(manifest(None, None), calibration=None)
    write_manifest(folder, without)
    assert read_manifest(folder) == without


def test_operators_in_16x8_are_read_under_their_name_of_before_too(tmp_path):
    mixed = Precision("mixed", 0.1, (Int16x8Operator(3, "mlp", "CONV_2D"),))
    written = dataclasses.replace(manifest(), precision=mixed)
    write_manifest(tmp_path, written)
    path = tmp_path / "export.json"
    path.write_text(path.read_text().replace('"int16x8"', '"wide"'))
    assert read_manifest(tmp_path) == written


def test_a_damaged_manifest_is_one_sentence(tmp_path):
    folder = tmp_path / "run" / "export"
    with pytest.raises(ModelError, match=r"does not exist; run `tinyedge export .*run --int8`"):
        read_manifest(folder)
    write_manifest(folder, manifest())
    path = folder / "export.json"
    whole = path.read_text()
    for text, reason in (
        (whole[:50], "cannot be read"),
        ("[]", "not of schema 1"),
        (whole.replace('"schema": 1', '"schema": 9'), "not of schema 1"),
        (whole.replace('"strides"', '"stride"'), "damaged"),
        (whole.replace('"mean"', '"means"'), "damaged"),
    ):
        path.write_text(text)
        with pytest.raises(ModelError, match=reason):
            read_manifest(folder)
