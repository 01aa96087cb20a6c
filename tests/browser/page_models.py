"""Small models of images, with what an export says of them beside them."""

from pathlib import Path

import numpy as np
from compiler.tflite_builder import OperatorSpec, TensorSpec, build_model, constant

from tinyedge.manifest import manifest as manifests
from tinyedge.manifest.manifest import record_file
from tinyedge.manifest.preprocess import FORMULA

HEIGHT, WIDTH = 10, 13
FEATURES = 21


def image_model(classes: int, channels: int = 3) -> bytes:
    """An image's local features, their mean, and, unless there are 0 classes, a classifier and a softmax after that."""
    generator = np.random.default_rng(7)
    image = TensorSpec((1, HEIGHT, WIDTH, channels), 0.02, -7, name="image")
    kernel = constant(generator.integers(-127, 128, (FEATURES, 3, 3, channels), np.int8), np.full(FEATURES, 0.01))
    bias = constant(np.zeros(FEATURES, np.int32), np.full(FEATURES, 0.0002))
    features = TensorSpec((1, HEIGHT, WIDTH, FEATURES), 0.03, 5)
    embedding = TensorSpec((1, FEATURES), 0.03, 5)
    operators = [
        OperatorSpec("CONV_2D", [image, kernel, bias], features, {"padding": "SAME", "strideH": 1, "strideW": 1}),
        OperatorSpec("MEAN", [features, constant(np.array([1, 2], np.int32))], embedding, version=2),
    ]
    if classes == 0:
        return build_model(operators, [image], [embedding])
    weights = constant(generator.integers(-127, 128, (classes, FEATURES), np.int8), 0.02)
    logits, shares = TensorSpec((1, classes), 0.1, 0), TensorSpec((1, classes), 1 / 256, -128)
    operators += [
        OperatorSpec("FULLY_CONNECTED", [embedding, weights, constant(np.zeros(classes, np.int32), 0.0006)], logits),
        OperatorSpec("SOFTMAX", [logits], shares, {"beta": 1.0}),
    ]
    return build_model(operators, [image], [shares])


def write_export(folder: Path, classes: tuple[str, ...], channels: int = 3, white_level: int | None = None) -> Path:
    """Write such a model, and an `export.json` that names its classes; returns the model's path."""
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / "model_int8.tflite"
    model.write_bytes(image_model(len(classes), channels))
    manifest = manifests.ExportManifest(
        kind="classifier" if classes else "encoder",
        encoder="none",
        act="relu",
        strides=(1,),
        parameters=1,
        weights_sha256="",
        classes=classes,
        input=manifests.TensorSpec("image", (1, HEIGHT, WIDTH, channels), 0.02, -7),
        output=manifests.TensorSpec("out", (1, len(classes) or FEATURES), 0.1, 0),
        preprocessing=manifests.Preprocessing(
            (0.5, 0.4, 0.3)[:channels], (0.2, 0.3, 0.25)[:channels], "RGB", FORMULA, white_level
        ),
        calibration=None,
        operators={},
        transposes=0,
        files={model.name: record_file(model)},
        parity={},
        versions={},
    )
    manifests.write_manifest(folder, manifest)
    return model
