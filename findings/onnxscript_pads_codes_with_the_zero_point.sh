#!/usr/bin/env bash
# onnxscript 0.7.2: onnxscript.optimizer.optimize changes what stands in the border of an integer convolution.
#
# The network: a map of codes, Pad by one pixel of code 0 on each side, and ConvInteger with the input's zero point. Of bytes
# from a camera with a zero point of 128, that is a black border, -128 each. ConvInteger's own `pads` are what the zero point
# stands for, 0 each, as onnx's test of ConvInteger with padding has it. The optimiser moves a Pad into `pads` where its
# value is 0, and does not look at the zero point.
#
# Expected: outputs of the same integers, whatever the zero point is: a Pad of the zero point's code may move, one of
# another code may not.
# Seen, by ONNX Runtime 1.32.0: with a zero point of 128, or of -128 for int8, all outputs at the border are others, by up to
# 0.8 of the largest one, and those inside are the same; nothing is said. A Pad of code 128, which could move, stays. With a
# zero point of 0 all is well.
#
# Exit code 0: as described; 1: something has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    onnxscript==0.7.2 onnx-ir==1.1.0 onnx==1.23.2 onnxruntime==1.32.0
seen=$("$folder/venv/bin/python" - <<'PYTHON'
import importlib.metadata as metadata

import numpy as np
import onnx
import onnx.reference
import onnxruntime
from numpy.lib.stride_tricks import sliding_window_view
from onnx import TensorProto, helper, numpy_helper
from onnxscript import optimizer

onnxruntime.set_default_logger_severity(4)
rng = np.random.default_rng(0)


def network(x, weights, zero_point, code):
    constants = {
        "sides": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
        "code": np.array(code, x.dtype),
        "weights": weights,
        "zero_point": np.array(zero_point, x.dtype),
    }
    nodes = [
        helper.make_node("Pad", ["x", "sides", "code"], ["padded"]),
        helper.make_node("ConvInteger", ["padded", "weights", "zero_point"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.INT32, (1, len(weights), *x.shape[2:]))],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model


def outputs(model, x):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, {"x": x})[0]


def computed(x, weights, zero_point, code):
    """The convolution in NumPy."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=code).astype(np.int32) - zero_point
    windows = sliding_window_view(padded, (3, 3), axis=(2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, weights.astype(np.int32))


def compare(kind, zero_point, code):
    limits = np.iinfo(kind)
    x = rng.integers(limits.min, limits.max, (1, 3, 6, 5), kind, endpoint=True)
    weights = rng.integers(-127, 127, (4, 3, 3, 3), np.int8, endpoint=True)
    model = network(x, weights, zero_point, code)
    before = outputs(model, x)
    assert np.array_equal(before, computed(x, weights, zero_point, code))
    assert np.array_equal(before, onnx.reference.ReferenceEvaluator(model).run(None, {"x": x})[0])
    improved = optimizer.optimize(model)
    kept = "Pad" in [node.op_type for node in improved.graph.node]
    after = outputs(improved, x)
    inside = np.array_equal(before[..., 1:-1, 1:-1], after[..., 1:-1, 1:-1])
    other = before != after
    border = np.ones(other.shape, bool)
    border[..., 1:-1, 1:-1] = False
    if not other.any():
        verdict = "the same"
    else:
        most = np.abs(before - after).max() / np.abs(before).max()
        verdict = f"{other[border].mean():.0%} of the border other, inside {'the same' if inside else 'other'}"
        verdict += f", off by {most:.1f} of the largest"
    title = f"{np.dtype(kind).name}, zero point {zero_point}, a border of code {code}"
    print(f"{title}: {'Pad stays' if kept else 'Pad moves'}, {verdict}")


print("onnxscript", metadata.version("onnxscript"))
compare(np.uint8, 0, 0)
compare(np.uint8, 128, 0)
compare(np.uint8, 128, 128)
compare(np.int8, -128, 0)
PYTHON
)
echo "$seen"
for line in "uint8, zero point 0, a border of code 0: Pad moves, the same" \
    "uint8, zero point 128, a border of code 0: Pad moves, 100% of the border other, inside the same" \
    "uint8, zero point 128, a border of code 128: Pad stays, the same" \
    "int8, zero point -128, a border of code 0: Pad moves, 100% of the border other, inside the same"; do
    grep -qF "$line" <<<"$seen" || { echo "not seen: $line" >&2; exit 1; }
done
