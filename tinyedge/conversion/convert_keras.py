"""ONNX to float TFLite through TensorFlow; runs as a program of its own, `python -m ...convert_keras FOLDER`.

It is for Python 3.11, for which there is no onnx2tf without TensorFlow (`convert_direct`). TensorFlow logs to standard
error from its first import on, and onnx2tf reads files from the working directory. In a process of their own both are
harmless. FOLDER holds `model.onnx` as soon as a line comes in on standard input; until then the packages are loaded. It
receives `model_float.tflite`.

onnx2tf 1 turns the channels-first graph into a channels-last one by heuristics. Three things keep it from inserting
transpositions, of which the model then needs none:

* Its rule for Add (as of 1.29.24) takes a channels-last result for a mistake whenever the shape is not ONNX's, and
  transposes both operands. Its rule for Sum has no such guess, so residual additions go in as Sum.
* A Sum becomes `tf.add_n`, hence ADD_N, which neither the compiler nor the optimised kernels know; of two operands it
  is an addition.
* The transposition from channels-last tokens back to a channels-first map is the identity in a channels-last graph. The
  replacement file says so.

Both spell out the error function of a GELU, for which TFLite has no operator of its own (FlexErf); it does have a GELU.
So a TANH goes through the converters in its place, and the file gets the GELU back.
"""

import dataclasses
import functools
import json
import os
import sys
from pathlib import Path
from typing import Any

from tinyedge.manifest.manifest import FLOAT_FILE
from tinyedge.tflite.graph import Graph
from tinyedge.tflite.reader import read_any_tflite
from tinyedge.tflite.writer import tflite_bytes

# (1, N, C) tokens, reshaped to (1, H, W, C), go back to ONNX's (1, C, H, W) by this.
_TOKENS_TO_MAP = [0, 3, 1, 2]
_SAMPLE_FILE = "calibration_image_sample_data_20x128x128x3_float32.npy"


def convert(folder: Path) -> None:
    """Convert `folder/model.onnx` as soon as it is there; the working directory has to be `folder`."""
    import onnx2tf  # noqa: F401 - loaded while there is time.
    import tensorflow as tf

    tf.config.threading.set_inter_op_parallelism_threads(1)
    if not (asked := sys.stdin.readline()):  # Whoever wanted a conversion is gone.
        return
    _write_sample_file(folder)
    gelus = _make_channels_last(folder)
    network = _keras_model(folder, json.loads(asked))
    converted = folder / "converted.tflite"
    converted.write_bytes(tf.lite.TFLiteConverter.from_keras_model(network).convert())
    graph = _in_order(read_any_tflite(converted), converted, network.output_names)
    if gelus:
        _restore_gelus(graph)
    converted.write_bytes(tflite_bytes(graph))
    converted.rename(folder / FLOAT_FILE)


def _make_channels_last(folder: Path) -> bool:
    """Write `channels_last.onnx`, which onnx2tf converts well, and `replacements.json`; return whether it has GELUs."""
    import onnx

    model = onnx.load(str(folder / "model.onnx"))
    constants = {tensor.name for tensor in model.graph.initializer}
    replacements = []
    gelus = [node for node in model.graph.node if node.op_type == "Gelu"]
    if gelus and any(node.op_type == "Tanh" for node in model.graph.node):
        sys.exit("a network of both GELU and tanh cannot be converted on Python 3.11: use Python 3.12 or 3.13")
    for node in gelus:
        node.op_type = "Tanh"
        del node.attribute[:]
    for node in model.graph.node:
        if node.op_type == "Add" and not constants & set(node.input):
            node.op_type = "Sum"
        if node.op_type == "Transpose" and list(node.attribute[0].ints) == _TOKENS_TO_MAP:
            replacements.append(
                {"op_name": node.name, "param_target": "attributes", "param_name": "perm", "values": [0, 1, 2, 3]}
            )
    onnx.save(model, str(folder / "channels_last.onnx"))
    (folder / "replacements.json").write_text(json.dumps({"format_version": 1, "operations": replacements}))
    return bool(gelus)


def _keras_model(folder: Path, kept_inputs: list[str]) -> Any:
    import onnx2tf
    import tensorflow as tf

    tf.add_n = lambda inputs, name=None: functools.reduce(tf.add, inputs)
    return onnx2tf.convert(
        input_onnx_file_path=str(folder / "channels_last.onnx"),
        output_folder_path=str(folder / "onnx2tf"),
        param_replacement_file=str(folder / "replacements.json"),
        disable_model_save=True,
        disable_strict_mode=True,  # It guesses layouts from dummy inferences; the parity gate checks ours.
        not_use_onnxsim=True,
        non_verbose=True,
        keep_shape_absolutely_input_names=kept_inputs or None,
    )


def _in_order(graph: Graph, model: Path, names: list[str]) -> Graph:
    """Return the graph with its outputs in the network's order: TensorFlow's converter sorts them by their names."""
    import tensorflow as tf

    named = tf.lite.Interpreter(model_path=str(model)).get_signature_runner().get_output_details()
    tensors = {tensor.name: tensor for tensor in graph.outputs}
    return dataclasses.replace(graph, outputs=tuple(tensors[named[name]["name"]] for name in names))


def _restore_gelus(graph: Graph) -> None:
    """Put GELU back where TANH stands for it."""
    graph.operators[:] = [
        dataclasses.replace(operator, op="GELU", options={"approximate": False}) if operator.op == "TANH" else operator
        for operator in graph.operators
    ]


def _write_sample_file(folder: Path) -> None:
    """Write the sample images that onnx2tf would otherwise fetch from the web; it only tries the network on them."""
    import numpy as np

    samples = np.random.default_rng(0).standard_normal((20, 128, 128, 3), np.float32)
    np.save(folder / _SAMPLE_FILE, samples)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    convert(Path(sys.argv[1]).resolve())
