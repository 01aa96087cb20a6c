"""Full-INT8 models as others make them: Keras, quantised by TensorFlow's converter.

    python benchmarks/keras_models.py FOLDER

The weights are random: what an engine executes does not depend on them. Keyword spotter and autoencoder have the shapes
of MLPerf Tiny's (https://github.com/mlcommons/tiny, benchmark/training), which `engine_table.py --models` takes where
the trained ones are at hand. Only an environment of Python 3.11 (`make setup PYTHON=python3.11`) has TensorFlow.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

RANDOM_WEIGHTS = ", random weights"
_CALIBRATION = 8


def foreign_models(folder: Path) -> Iterator[tuple[str, Path]]:
    """Write every model into a folder, and yield its name and its file."""
    import tensorflow as tf

    for name, stem, build in (
        ("KWS DS-CNN" + RANDOM_WEIGHTS, "kws_random", _keyword_spotter),
        ("AD autoencoder" + RANDOM_WEIGHTS, "ad_random", _autoencoder),
        ("MobileNetV2-0.35 of Keras, 96x96", "mobilenetv2_96", _mobilenetv2),
        ("odd sizes, strided and dilated", "odd_sizes", _odd_sizes),
    ):
        tf.keras.utils.set_random_seed(0)
        path = folder / f"{stem}.tflite"
        path.write_bytes(_quantised(build(tf.keras)))
        yield name, path


def _quantised(model: Any) -> bytes:
    import tensorflow as tf

    rng = np.random.default_rng(0)
    shape = (1, *model.input_shape[1:])
    for layer in model.layers:
        if isinstance(layer, tf.keras.layers.BatchNormalization):  # As after training, and no two channels the same.
            layer.set_weights(
                [rng.uniform(0.5, 1.5, values.shape).astype(np.float32) for values in layer.get_weights()]
            )
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        [rng.normal(size=shape).astype(np.float32)] for _ in range(_CALIBRATION)
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    converted: bytes = converter.convert()
    return converted


def _normed(keras: Any, x: Any, layer: Any) -> Any:
    return keras.layers.ReLU()(keras.layers.BatchNormalization()(layer(x)))


def _keyword_spotter(keras: Any) -> Any:
    layers = keras.layers
    source = x = keras.Input((49, 10, 1))
    x = _normed(keras, x, layers.Conv2D(64, (10, 4), strides=2, padding="same"))
    for _ in range(4):
        x = _normed(keras, x, layers.DepthwiseConv2D(3, padding="same"))
        x = _normed(keras, x, layers.Conv2D(64, 1))
    x = layers.Flatten()(layers.AveragePooling2D((25, 5))(x))
    return keras.Model(source, layers.Dense(12, activation="softmax")(x))


def _autoencoder(keras: Any) -> Any:
    layers = keras.layers
    source = x = keras.Input((640,))
    for units in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        x = _normed(keras, x, layers.Dense(units))
    return keras.Model(source, layers.Dense(640)(x))


def _mobilenetv2(keras: Any) -> Any:
    return keras.applications.MobileNetV2((96, 96, 3), alpha=0.35, weights=None, classes=2)


def _odd_sizes(keras: Any) -> Any:
    layers = keras.layers
    source = x = keras.Input((45, 61, 3))
    x = _normed(keras, x, layers.Conv2D(19, 5, strides=(2, 3), padding="same"))
    x = _normed(keras, x, layers.Conv2D(23, 3, dilation_rate=2))
    x = layers.MaxPooling2D(3, strides=2)(x)
    x = _normed(keras, x, layers.DepthwiseConv2D(5, padding="same"))
    y = _normed(keras, x, layers.Conv2D(23, (1, 3), padding="same"))
    x = _normed(keras, layers.Add()([x, y]), layers.Conv2D(37, 3, strides=2))
    return keras.Model(source, layers.Dense(7)(layers.GlobalAveragePooling2D()(x)))


def main() -> None:
    """Write the models."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, path in foreign_models(folder):
        print(f"{path}: {name}, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
