#!/usr/bin/env bash
# onnx2tf 2.6.9: a map that is averaged before a convolution reads it is a tensor that nothing writes.
#
# The network: a residual sum of two Convs, its mean over height and width as one output (the descriptor of a stage, as
# multi-scale features and heads with a global branch have it), and a Conv of the sum as the other.
#
# Expected: the same model whichever of the two nodes comes first in the file: neither depends on the other.
# Seen: with the Conv first the converted model computes what ONNX Runtime does. With ReduceMean, or GlobalAveragePool,
# first, the conversion reports success as well, but the MEAN in the file reads a tensor in the order NCHW that no operator
# writes, and LiteRT refuses to run it: "lacks data".
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
cat >"$folder/averaged.py" <<'PYTHON'
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
WEIGHTS = {"w": (4, 3, 3, 3), "v": (4, 4, 1, 1)}
MEANS = {
    "ReduceMean": (helper.make_node("ReduceMean", ["sum"], ["mean"], axes=[2, 3]), (1, 4, 1, 1)),
    "GlobalAveragePool": (helper.make_node("GlobalAveragePool", ["sum"], ["mean"]), (1, 4, 1, 1)),
}


def verdict(kind, first):
    mean, shape = MEANS[kind]
    conv = helper.make_node("Conv", ["sum", "v"], ["y"])
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["one"], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["one", "v"], ["two"]),
        helper.make_node("Add", ["one", "two"], ["sum"]),
        *((mean, conv) if first else (conv, mean)),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 8, 8))],
        [
            helper.make_tensor_value_info("mean", TensorProto.FLOAT, shape),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 4, 8, 8)),
        ],
        [
            numpy_helper.from_array(rng.standard_normal(sizes).astype(np.float32), name)
            for name, sizes in WEIGHTS.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "model.onnx")
    x = rng.standard_normal((1, 3, 8, 8)).astype(np.float32)
    (expected,) = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"]).run(["mean"], {"x": x})
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        onnx2tf.convert(input_onnx_file_path="model.onnx", output_folder_path="converted")
    interpreter = Interpreter("converted/model_float32.tflite")
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x.transpose(0, 2, 3, 1))
    try:
        interpreter.invoke()
    except RuntimeError as error:
        return "lacks data" if "lacks data" in str(error) else str(error)
    small = [details for details in interpreter.get_output_details() if np.prod(details["shape"]) == expected.size]
    found = interpreter.get_tensor(small[0]["index"])
    return "right" if np.allclose(found.ravel(), expected.ravel(), atol=1e-5) else "wrong"


print("onnx2tf", metadata.version("onnx2tf"))
for kind in MEANS:
    for first in (False, True):
        print(f"{kind} {'before' if first else 'behind'} the Conv: {verdict(kind, first)}")
PYTHON
cd "$folder"
seen=$(PATH="$folder/venv/bin:$PATH" python averaged.py 2>/dev/null)
echo "$seen"
for kind in ReduceMean GlobalAveragePool; do
    grep -qF "$kind behind the Conv: right" <<<"$seen" || exit 1
    grep -qF "$kind before the Conv: lacks data" <<<"$seen" || exit 1
done
