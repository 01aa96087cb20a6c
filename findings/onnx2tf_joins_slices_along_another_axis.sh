#!/usr/bin/env bash
# onnx2tf 2.6.9: slices that are joined along C come out joined along W, by the sizes of the map.
#
# The network: every other row and column, four slices of a quarter each, joined along C, as YOLO's Focus and the
# space-to-depth of SPD-Conv are exported. A map of (1, C, H, W) becomes (1, 4 C, H / 2, W / 2).
#
# Expected: ONNX Runtime's outputs, in any order of axes, as there are for (1, 3, 16, 16), a map of an image's channels,
# on which Focus is mostly tried.
# Seen: (1, 8, 12, 10) becomes (1, 8, 6, 20) rather than (1, 32, 6, 5). With a Relu before and a Conv after it, a map of
# (1, 8, 16, 16) becomes (1, 5, 8, 8), its shape in NCHW, but the values are as far away as they are large. The
# conversion reports success.
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
cat >"$folder/joined.py" <<'PYTHON'
import contextlib
import importlib.metadata as metadata
import itertools
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


def off_by(channels, height, width, between):
    """The shape of the converted network's output, and how far it is off in the best layout, as a share of its size."""
    constants = {"end": np.array([999, 999]), "axes": np.array([2, 3]), "steps": np.array([2, 2])}
    source, joined = ("a", "b") if between else ("x", "y")
    nodes = [("Relu", "x", "a", {})] if between else []
    for number, start in enumerate(((0, 0), (1, 0), (0, 1), (1, 1))):
        constants[f"start_{number}"] = np.array(start)
        nodes.append(("Slice", f"{source} start_{number} end axes steps", f"part_{number}", {}))
    nodes.append(("Concat", "part_0 part_1 part_2 part_3", joined, {"axis": 1}))
    if between:
        nodes.append(("Conv", "b weights", "y", {}))
        constants["weights"] = normal(5, 4 * channels, 1, 1)
    network(
        nodes, constants, (1, channels, height, width), (1, 5 if between else 4 * channels, height // 2, width // 2)
    )
    x = normal(1, channels, height, width)
    session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": x})
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        onnx2tf.convert(input_onnx_file_path="model.onnx", output_folder_path="converted")
    interpreter = Interpreter("converted/model_float32.tflite")
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x.transpose(0, 2, 3, 1))
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    layouts = [found.transpose(0, *axes) for axes in itertools.permutations((1, 2, 3))]
    errors = [np.abs(layout - expected).max() for layout in layouts if layout.shape == expected.shape]
    return found.shape, min(errors, default=np.inf) / np.abs(expected).max()


print("onnx2tf", metadata.version("onnx2tf"))
for between in (False, True):
    for sizes in ((3, 16, 16), (8, 12, 10), (8, 16, 16), (16, 16, 16)):
        shape, error = off_by(*sizes, between)
        verdict = "right" if error < 1e-5 else "wrong" if error > 0.01 else "unclear"
        place = "Relu, Focus, Conv" if between else "Focus alone"
        print(f"{place} of C H W {sizes}: {verdict}, {tuple(int(size) for size in shape)}, off by {error:.2g}")
PYTHON
cd "$folder"
seen=$(PATH="$folder/venv/bin:$PATH" python joined.py 2>/dev/null)
echo "$seen"
grep -qF "Focus alone of C H W (8, 12, 10): wrong, (1, 8, 6, 20)" <<<"$seen" || exit 1
for place in "Focus alone" "Relu, Focus, Conv"; do
    grep -qF "$place of C H W (3, 16, 16): right" <<<"$seen" || exit 1
    grep -qF "$place of C H W (8, 16, 16): wrong" <<<"$seen" || exit 1
done
