#!/usr/bin/env bash
# onnx2tf 2.6.9: a constant behind a convolution is added along the wrong axis where a map's axes are of equal size.
#
# The network: Conv, a constant added, Conv, Relu, GlobalAveragePool. TFLite's maps are NHWC: the constant's axes
# must move with the map's. A constant of (1, C, H, W), as a position embedding, moves where the sizes tell the axes
# apart, and stays as it is where C = H = W. One of (W), as a normalisation by frequency, does not move at all: where
# C = W, it is added along C.
#
# Expected: ONNX Runtime's outputs for all sizes, as there are for a constant of (C, 1, 1).
# Seen: percents to multiples of the largest output away, with the defaults and with keep_shape_absolutely_input_names,
# which keeps the input's layout. The conversion reports success. (Where C differs from W, the constant of (W) makes a
# file that LiteRT cannot run, so that only the equal sizes go unnoticed.)
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
cat >"$folder/axes.py" <<'PYTHON'
import contextlib
import importlib.metadata as metadata
import os

import numpy as np
import onnx
import onnx2tf
import onnxruntime
from ai_edge_litert.interpreter import Interpreter
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(0)


def normal(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def network(nodes, constants, x_shape, y_shape):
    graph = helper.make_graph(
        [helper.make_node(op, inputs.split(), [output], **attributes) for op, inputs, output, attributes in nodes],
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x_shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, y_shape)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "model.onnx")


def outputs(kept=False):
    """ONNX Runtime's output and that of the converted network, for the same x."""
    session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
    x = normal(*session.get_inputs()[0].shape)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        onnx2tf.convert(
            input_onnx_file_path="model.onnx",
            output_folder_path="converted",
            keep_shape_absolutely_input_names=["x"] if kept else None,
        )
    interpreter = Interpreter("converted/model_float32.tflite")
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x if kept else x.transpose(0, 2, 3, 1))
    interpreter.invoke()
    return session.run(None, {"x": x})[0], interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def added(channels, height, width, shape, kept=False):
    """How far the network with a constant of `shape` is off, as a share of its largest output."""
    nodes = [
        ("Conv", "x first", "a", {}),
        ("Add", "a constant", "b", {}),
        ("Conv", "b second", "c", {}),
        ("Relu", "c", "d", {}),
        ("GlobalAveragePool", "d", "e", {}),
        ("Flatten", "e", "y", {}),
    ]
    constants = {
        "first": normal(channels, 3, 1, 1),
        "constant": 3 * normal(*shape),
        "second": normal(5, channels, 1, 1),
    }
    network(nodes, constants, (1, 3, height, width), (1, 5))
    expected, found = outputs(kept)
    return np.abs(found - expected).max() / np.abs(expected).max()


print("onnx2tf", metadata.version("onnx2tf"))
for name, shape, kept, sizes in (
    ("(C, 1, 1)", lambda c, h, w: (c, 1, 1), False, ((8, 8, 8),)),
    ("(1, C, H, W)", lambda c, h, w: (1, c, h, w), False, ((8, 8, 8), (6, 8, 10))),
    ("(1, C, H, W), input kept", lambda c, h, w: (1, c, h, w), True, ((8, 8, 8), (6, 8, 10))),
    ("(W)", lambda c, h, w: (w,), False, ((8, 8, 8), (8, 12, 8))),
    ("(W), input kept", lambda c, h, w: (w,), True, ((8, 8, 8), (8, 12, 8))),
):
    for size in sizes:
        error = added(*size, shape(*size), kept)
        verdict = "right" if error < 1e-5 else "wrong" if error > 0.01 else "unclear"
        print(f"constant of {name}, C H W of {size}: {verdict}, off by {error:.2g}")
PYTHON
cd "$folder"
seen=$(PATH="$folder/venv/bin:$PATH" python axes.py 2>/dev/null)
echo "$seen"
grep -qF "constant of (C, 1, 1), C H W of (8, 8, 8): right" <<<"$seen" || exit 1
for kept in "" ", input kept"; do
    grep -qF "constant of (1, C, H, W)$kept, C H W of (8, 8, 8): wrong" <<<"$seen" || exit 1
    grep -qF "constant of (1, C, H, W)$kept, C H W of (6, 8, 10): right" <<<"$seen" || exit 1
    grep -qF "constant of (W)$kept, C H W of (8, 8, 8): wrong" <<<"$seen" || exit 1
    grep -qF "constant of (W)$kept, C H W of (8, 12, 8): wrong" <<<"$seen" || exit 1
done
