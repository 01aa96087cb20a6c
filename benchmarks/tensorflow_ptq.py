"""TensorFlow's own quantisation after training of ONNX files: what tinyedge's is compared with.

    python3.11 benchmarks/tensorflow_ptq.py FOLDER

FOLDER has pairs NAME.onnx and NAME.npy: a network of one input, and calibration samples (n, ...) float32 as it takes
them. onnx2tf writes a SavedModel of each, and tf.lite.TFLiteConverter quantises that to full INT8, with a scale a
channel, on these samples. FOLDER receives NAME.tflite, where it has none; a line says why where it gets none.

A program of its own, for it needs TensorFlow and onnx2tf 1, which environments of Python 3.11 alone have (`make setup
PYTHON=python3.11`).
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

_SAMPLE_FILE = "calibration_image_sample_data_20x128x128x3_float32.npy"


def convert(model: Path, samples: np.ndarray) -> bytes:
    """Return the INT8 model."""
    import onnx
    import onnx2tf
    import tensorflow as tf

    (name,) = (value.name for value in onnx.load(str(model)).graph.input)
    channels_last = samples.transpose(0, 2, 3, 1) if samples.ndim == 4 else samples
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        np.save(_SAMPLE_FILE, np.zeros((20, 128, 128, 3), np.float32))  # onnx2tf downloads it where it is absent.
        onnx2tf.convert(
            input_onnx_file_path=str(model),
            output_folder_path=str(Path(folder, "saved_model")),
            keep_shape_absolutely_input_names=[name] if samples.ndim != 4 else None,
            enable_rnn_unroll=True,  # What it leaves as a loop has no INT8 form.
            output_signaturedefs=True,
            disable_strict_mode=True,
            non_verbose=True,
        )
        converter = tf.lite.TFLiteConverter.from_saved_model(str(Path(folder, "saved_model")))
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8

        def representative() -> Iterator[list[np.ndarray]]:
            for sample in channels_last:
                yield [np.ascontiguousarray(sample[None])]

        converter.representative_dataset = representative
        content: bytes = converter.convert()
        os.chdir("/")
    return content


def main() -> None:
    """Convert every pair of a folder."""
    folder = Path(sys.argv[1]).resolve()
    for model in sorted(folder.glob("*.onnx")):
        samples = model.with_suffix(".npy")
        if not samples.is_file() or model.with_suffix(".tflite").is_file():
            continue
        try:
            content = convert(model, np.load(samples))
        except (
            Exception,
            SystemExit,
        ) as error:  # Whatever a converter of others raises, the next network has its turn.
            reason = str(error).strip().splitlines()
            print(f"{model.stem}: {type(error).__name__}: {reason[-1] if reason else ''}", file=sys.stderr, flush=True)
            continue
        model.with_suffix(".tflite").write_bytes(content)


if __name__ == "__main__":
    main()
