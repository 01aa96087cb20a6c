#!/usr/bin/env bash
# tf2onnx 1.17.0: `tf2onnx.convert.from_tflite` returns a model without the activation that it could not convert.
#
# The model: an ADD of two float inputs with the fused activation RELU_N1_TO_1, which TensorFlow's converter makes of
# `tf.clip_by_value(x + y, -1, 1)`.
#
# Expected: the call raises, as the command line does with the same file (exit code 1).
# Seen: a traceback in the log, at the level ERROR, and then a model: valid for onnx.checker, with a plain Add, whose
# outputs go beyond -1 and 1 where TensorFlow Lite's do not. The activation's name is taken off the node before it is
# found that there is no conversion, and the Python functions (unlike the command line) go on after an error, with no
# argument to choose. Of a convolution with this activation the returned model does not run: its input is not transposed.
#
# Exit code 0: as described; 1: something has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    tf2onnx==1.17.0 tensorflow-cpu==2.21.0 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.2.6
cd "$folder"
cat >clipped.py <<'PYTHON'
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import tensorflow as tf
import tf2onnx


class Clipped(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec((1, 6)), tf.TensorSpec((1, 6))])
    def run(self, x, y):
        return tf.clip_by_value(x + y, -1, 1)


module = Clipped()
concrete = [module.run.get_concrete_function()]
with open("clipped.tflite", "wb") as file:
    file.write(tf.lite.TFLiteConverter.from_concrete_functions(concrete, module).convert())

rng = np.random.default_rng(0)
x, y = (3 * rng.standard_normal((1, 6)).astype(np.float32) for _ in range(2))
interpreter = tf.lite.Interpreter("clipped.tflite")
interpreter.allocate_tensors()
for detail, value in zip(interpreter.get_input_details(), (x, y)):
    interpreter.set_tensor(detail["index"], value)
interpreter.invoke()
wanted = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
print("tf2onnx", tf2onnx.__version__, "tensorflow", tf.__version__)
print("TensorFlow Lite:", wanted.round(2).tolist())

command = [sys.executable, "-m", "tf2onnx.convert", "--tflite", "clipped.tflite", "--output", "clipped.onnx"]
print("command line: exit code", subprocess.run(command, capture_output=True).returncode)
model, _ = tf2onnx.convert.from_tflite("clipped.tflite")
onnx.checker.check_model(model, full_check=True)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
found = session.run(None, {value.name: array for value, array in zip(session.get_inputs(), (x, y))})[0]
print("from_tflite:", [node.op_type for node in model.graph.node], found.round(2).tolist())
print("not clipped" if np.allclose(found, x + y) and not np.allclose(found, wanted) else "as it should be")
PYTHON
seen=$(TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" clipped.py 2>/dev/null)
echo "$seen"
grep -qF "not clipped" <<<"$seen" && grep -qF "exit code 1" <<<"$seen" || exit 1
