"""ONNX to float TFLite; runs as a program of its own, `python -m tinyedge.exporter.convert FOLDER`.

TensorFlow logs to standard error from its first import on, and onnx2tf reads files from the working directory. In a
process of their own both are harmless. FOLDER holds `model.onnx` and `samples.npy` (n, H, W, 3) float32, normalised, as
soon as a line comes in on standard input; until then the packages are loaded. It receives `model_float.tflite`.

onnx2tf turns the channels-first graph into a channels-last one by heuristics. Three things keep it from inserting
transpositions, of which the model then needs none:

* Its rule for Add (as of 1.29.24) takes a channels-last result for a mistake whenever the shape is not ONNX's, and
  transposes both operands. Its rule for Sum has no such guess, so residual additions go in as Sum.
* A Sum becomes `tf.add_n`, hence ADD_N, which neither the compiler nor the optimised kernels know; of two operands it
  is an addition.
* The transposition from channels-last tokens back to a channels-first map is the identity in a channels-last graph. The
  replacement file says so.
"""

import functools
import json
import os
import sys
from pathlib import Path
from typing import Any

# (1, N, C) tokens, reshaped to (1, H, W, C), go back to ONNX's (1, C, H, W) by this.
_TOKENS_TO_MAP = [0, 3, 1, 2]
_SAMPLE_FILE = "calibration_image_sample_data_20x128x128x3_float32.npy"


def convert(folder: Path) -> None:
    """Convert `folder/model.onnx` as soon as it is there; the working directory has to be `folder`."""
    import onnx2tf  # noqa: F401 - loaded while there is time.
    import tensorflow as tf

    tf.config.threading.set_inter_op_parallelism_threads(1)
    if not sys.stdin.readline():  # Whoever wanted a conversion is gone.
        return
    _write_sample_file(folder)
    network = _keras_model(folder)
    (folder / "model_float.tflite").write_bytes(tf.lite.TFLiteConverter.from_keras_model(network).convert())


def _keras_model(folder: Path) -> Any:
    import onnx
    import onnx2tf
    import tensorflow as tf

    tf.add_n = lambda inputs, name=None: functools.reduce(tf.add, inputs)
    model = onnx.load(str(folder / "model.onnx"))
    constants = {tensor.name for tensor in model.graph.initializer}
    replacements = []
    for node in model.graph.node:
        if node.op_type == "Add" and not constants & set(node.input):
            node.op_type = "Sum"
        if node.op_type == "Transpose" and list(node.attribute[0].ints) == _TOKENS_TO_MAP:
            replacements.append(
                {"op_name": node.name, "param_target": "attributes", "param_name": "perm", "values": [0, 1, 2, 3]}
            )
    onnx.save(model, str(folder / "channels_last.onnx"))
    options = {}
    if replacements:
        (folder / "replacements.json").write_text(json.dumps({"format_version": 1, "operations": replacements}))
        options["param_replacement_file"] = str(folder / "replacements.json")
    return onnx2tf.convert(
        input_onnx_file_path=str(folder / "channels_last.onnx"),
        output_folder_path=str(folder / "onnx2tf"),
        disable_model_save=True,
        disable_strict_mode=True,  # It guesses layouts from dummy inferences; the parity gate checks ours.
        not_use_onnxsim=True,
        non_verbose=True,
        **options,
    )


def _write_sample_file(folder: Path) -> None:
    """Write the sample images that onnx2tf would otherwise fetch from the web."""
    import numpy as np
    import tensorflow as tf

    samples = np.load(folder / "samples.npy")
    samples = np.resize(samples, (20, *samples.shape[1:]))
    np.save(folder / _SAMPLE_FILE, tf.image.resize(samples, (128, 128)).numpy().astype(np.float32))


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    convert(Path(sys.argv[1]).resolve())
