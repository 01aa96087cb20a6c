#!/usr/bin/env bash
# onnxscript 0.7.2: onnxscript.optimizer.optimize drops an epsilon of 1e-8 or less, as if it were 0.
#
# Its rules take x + 0, x - 0, x * 1 and x / 1 for x, and a scalar constant for the 0 where it is within 1e-8 of it, or for the
# 1 within 1e-5, as the patterns' constants have it where a rule asks for nothing closer. Exporters write Python's numbers as
# such scalars. The rules are in the defaults of onnxscript.rewriter.rewrite and of optimize, and PyTorch's torch.onnx.export
# runs the latter by itself.
#
# Expected: what is added to keep a logarithm or a quotient finite is still added, as ONNX Runtime's own optimisations and
# NumPy have it.
# Seen, by ONNX Runtime 1.32.0: the logarithm of a silent band's energy plus 1e-9 is -inf rather than -20.7, and a zero vector
# over its length plus 1e-12 is NaN rather than 0, without a word. With 1e-7, or with the same epsilon of shape (1,), all is
# well. Where a clock is slow by 8 in a million, the correction of seconds in float64 is gone: 0.69 s in a day.
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
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxscript import optimizer, rewriter

onnxruntime.set_default_logger_severity(4)


def network(nodes, x, constants):
    kind = helper.np_dtype_to_tensor_dtype(x.dtype)
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", kind, x.shape)],
        [helper.make_tensor_value_info("y", kind, x.shape)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model


def outputs(model, x, level=onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    return onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, {"x": x})[0]


def report(title, model, x, computed, improve=optimizer.optimize):
    """Print the last output before and after; `computed` is NumPy's."""
    before = outputs(model, x)
    np.testing.assert_allclose(before, computed, rtol=1e-6)
    every = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    np.testing.assert_allclose(outputs(model, x, every), computed, rtol=1e-6)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    after = outputs(improve(copy), x)
    last = f"{before.flat[-1]:.2f}", f"{after.flat[-1]:.2f}"
    print(f"{title}: {last[0]}, then {last[1]}")


def logarithm(title, epsilon):
    energies = np.array([4, 1, 0], np.float32)
    nodes = [helper.make_node("Add", ["x", "epsilon"], ["a"]), helper.make_node("Log", ["a"], ["y"])]
    report(title, network(nodes, energies, {"epsilon": epsilon}), energies, np.log(energies + epsilon))


def unit_vectors(title, epsilon, improve):
    x = np.array([[3, 4], [0, 0]], np.float32)
    nodes = [
        helper.make_node("ReduceL2", ["x", "axis"], ["length"]),
        helper.make_node("Add", ["length", "epsilon"], ["divisor"]),
        helper.make_node("Div", ["x", "divisor"], ["y"]),
    ]
    model = network(nodes, x, {"epsilon": epsilon, "axis": np.array([1])})
    report(title, model, x, x / (np.linalg.norm(x, axis=1, keepdims=True) + epsilon), improve)


def clock(title, rate):
    seconds = np.array([3600, 86400], np.float64)
    nodes = [helper.make_node("Mul", ["x", "rate"], ["y"])]
    report(title, network(nodes, seconds, {"rate": rate}), seconds, seconds * rate)


print("onnxscript", metadata.version("onnxscript"))
logarithm("log(0 + 1e-7)", np.array(1e-7, np.float32))
logarithm("log(0 + 1e-9)", np.array(1e-9, np.float32))
logarithm("log(0 + 1e-9), the epsilon of shape (1,)", np.array([1e-9], np.float32))
unit_vectors("0 / (0 + 1e-12)", np.array(1e-12, np.float32), optimizer.optimize)
unit_vectors("0 / (0 + 1e-12) by rewrite", np.array(1e-12, np.float32), rewriter.rewrite)
clock("86400 * 1.000008", np.array(1.000008))
PYTHON
)
echo "$seen"
for line in "log(0 + 1e-7): -16.12, then -16.12" "log(0 + 1e-9): -20.72, then -inf" \
    "log(0 + 1e-9), the epsilon of shape (1,): -20.72, then -20.72" "0 / (0 + 1e-12): 0.00, then nan" \
    "0 / (0 + 1e-12) by rewrite: 0.00, then nan" "86400 * 1.000008: 86400.69, then 86400.00"; do
    grep -qxF "$line" <<<"$seen" || { echo "not seen: $line" >&2; exit 1; }
done
