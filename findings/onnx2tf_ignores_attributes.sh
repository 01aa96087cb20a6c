#!/usr/bin/env bash
# onnx2tf 2.6.9: attributes of Gelu, Elu, Resize and ConvTranspose are dropped without a word.
#
# Each network is one node whose attribute ONNX's checker takes and ONNX Runtime and ONNX's reference evaluator honour
# alike. PyTorch writes the first three: nn.GELU("tanh"), nn.ELU(alpha) and interpolate(..., antialias=True).
#
# Expected: ONNX Runtime's outputs, or a refusal, as of MaxPool's dilations. The README's table of conversions names
# no condition for Gelu and Elu, SAME_* for ConvTranspose, and "limited attr combinations" for Resize.
# Seen: the outputs of the same node without the attribute, bit for bit, and a report of success: Gelu by the error
# function (5e-4 away), Elu of alpha 1, a resize that aliases, nearest neighbours that are other pixels, and SAME_UPPER
# for SAME_LOWER.
#
# Needs Python 3.12 or 3.13. Exit code 0: as described; 1: something has changed; 2: no such Python.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

for python in python3.13 python3.12 python3 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[23].*/bin/python; do
    "$python" -c 'import sys; sys.exit(not (3, 12) <= sys.version_info < (3, 14))' 2>/dev/null && break
    python=""
done
[ -n "$python" ] || { echo "Python 3.12 or 3.13 is needed" >&2; exit 2; }
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnx2tf==2.6.9 # It pins what it needs.
cat >"$folder/attributes.py" <<'PYTHON'
import contextlib
import importlib.metadata as metadata
import os

import numpy as np
import onnx
import onnx2tf
import onnxruntime
from ai_edge_litert.interpreter import Interpreter
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

X = np.random.default_rng(0).standard_normal((1, 6, 10, 12)).astype(np.float32)
WEIGHTS = np.random.default_rng(1).standard_normal((6, 4, 3, 3)).astype(np.float32)


def network(op, y_shape, constants, attributes):
    inputs = ["", "", "sizes"] if op == "Resize" else list(constants)
    graph = helper.make_graph(
        [helper.make_node(op, ["x", *inputs], ["y"], **attributes)],
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, X.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, y_shape)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model


def converted(model):
    onnx.save(model, "model.onnx")
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        onnx2tf.convert(input_onnx_file_path="model.onnx", output_folder_path="converted")
    interpreter = Interpreter("converted/model_float32.tflite")
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], X.transpose(0, 2, 3, 1))
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def compare(name, op, y_shape, constants, without, attribute):
    """Whether `attribute` changes the outputs in place of what `without` has, and how far they are off with it."""
    bare, model = (network(op, y_shape, constants, found) for found in (without, {**without, **attribute}))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,), (again,) = session.run(None, {"x": X}), ReferenceEvaluator(model).run(None, {"x": X})
    assert np.abs(expected - again).max() < 1e-5, name
    found, plain = converted(model), converted(bare)
    ignored = "ignored" if np.array_equal(found, plain) else "not ignored"
    if found.shape != expected.shape:  # The output of most operators stays NHWC.
        found = found.transpose(0, 3, 1, 2)
    error, largest = np.abs(found - expected).max(), np.abs(expected).max()
    verdict = "wrong" if error > 1e-4 else "right"
    print(f"{name}: {ignored}, {verdict}, off by {error:.2g} where outputs reach {largest:.2g}")


print("onnx2tf", metadata.version("onnx2tf"))
compare("Gelu, approximate tanh", "Gelu", X.shape, {}, {}, {"approximate": "tanh"})
compare("Elu, alpha 2", "Elu", X.shape, {}, {}, {"alpha": 2.0})
SIZES = {"sizes": np.array([1, 6, 4, 5])}
compare("Resize, antialias", "Resize", (1, 6, 4, 5), SIZES, {"mode": "linear"}, {"antialias": 1})
for coordinates, rounding, usual in (
    ("half_pixel", "floor", "round_prefer_ceil"),
    ("half_pixel", "round_prefer_floor", "round_prefer_ceil"),
    ("asymmetric", "round_prefer_floor", "floor"),
):
    compare(
        f"Resize, {coordinates}, {rounding}",
        "Resize",
        (1, 6, 15, 17),
        {"sizes": np.array([1, 6, 15, 17])},
        {"mode": "nearest", "coordinate_transformation_mode": coordinates, "nearest_mode": usual},
        {"nearest_mode": rounding},
    )
compare(
    "ConvTranspose, auto_pad SAME_LOWER",
    "ConvTranspose",
    (1, 4, 20, 24),
    {"weights": WEIGHTS},
    {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
    {"auto_pad": "SAME_LOWER"},
)
PYTHON
cd "$folder"
seen=$(PATH="$folder/venv/bin:$PATH" python attributes.py 2>/dev/null)
echo "$seen"
for name in "Gelu, approximate tanh" "Elu, alpha 2" "Resize, antialias" "Resize, half_pixel, floor" \
    "Resize, half_pixel, round_prefer_floor" "Resize, asymmetric, round_prefer_floor" \
    "ConvTranspose, auto_pad SAME_LOWER"; do
    grep -qF "$name: ignored, wrong" <<<"$seen" || exit 1
done
