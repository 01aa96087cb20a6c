#!/usr/bin/env bash
# onnxoptimizer 0.4.2: of two reshapes in a row the first is dropped, though the second copies a size from it.
#
# A 0 in a Reshape's shape is the size that its input has there, as exporters write a batch or channels that they leave as
# they are. Pass eliminate_consecutive_idempotent_ops, one of onnxoptimizer.get_fuse_and_elimination_passes() and of the
# passes that onnxoptimizer.optimize(model) runs by itself, takes a Reshape of a Reshape for the second alone, which then
# copies the size of another tensor.
#
# Expected: the same outputs, or two reshapes left as they are where the second holds a 0.
# Seen, by ONNX Runtime 1.32.0: rows of 4 x 3 become one row of 12, without a word, and four means one. GroupNormalization
# written out by ONNX's own function, whose last reshapes are such a pair, has its shape and other values. Without a 0 the
# same pair is joined rightly.
#
# Exit code 0: as described; 1: something has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnxoptimizer==0.4.2 onnx==1.23.2 onnxruntime==1.32.0
seen=$("$folder/venv/bin/python" - <<'PYTHON'
import importlib.metadata as metadata

import numpy as np
import onnx
import onnx.inliner
import onnxoptimizer
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(0)


def network(nodes, x_shape, y_shape, constants):
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x_shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, y_shape)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model


def outputs(model, x):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, {"x": x})[0]


def compare(title, model, passes):
    x = rng.standard_normal([side.dim_value for side in model.graph.input[0].type.tensor_type.shape.dim])
    x = x.astype(np.float32)
    before = outputs(model, x)
    after = outputs(onnxoptimizer.optimize(model, passes), x)
    if before.shape != after.shape:
        verdict = f"{before.shape} became {after.shape}"
    else:
        off = np.abs(before - after).max()
        verdict = "the same" if off < 1e-5 else f"{before.shape} as before, off by {off:.2f}"
    print(f"{title}: {verdict}")


def two_reshapes(second):
    nodes = [
        helper.make_node("Reshape", ["x", "rows"], ["a"]),
        helper.make_node("Reshape", ["a", "kept"], ["b"]),
        helper.make_node("ReduceMean", ["b", "axis"], ["y"], keepdims=0),
    ]
    constants = {"rows": np.array([4, 3]), "kept": np.array(second), "axis": np.array([1])}
    return network(nodes, (1, 12), (4,), constants)


def group_norm():
    node = helper.make_node("GroupNormalization", ["x", "scale", "bias"], ["y"], num_groups=2)
    shape = (3, 4, 2, 2)
    constants = {name: rng.standard_normal(4).astype(np.float32) for name in ("scale", "bias")}
    model = network([node], shape, shape, constants)
    model.graph.value_info.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, (4,)) for name in constants)
    return onnx.inliner.inline_selected_functions(model, [("", "GroupNormalization")], inline_schema_functions=True)


print("onnxoptimizer", metadata.version("onnxoptimizer"))
only = ["eliminate_consecutive_idempotent_ops"]
compare("to (4, 3), then to (4, -1)", two_reshapes([4, -1]), only)
compare("to (4, 3), then to (0, -1)", two_reshapes([0, -1]), only)
compare("the same by optimize(model) alone", two_reshapes([0, -1]), None)
compare("GroupNormalization written out", group_norm(), only)
PYTHON
)
echo "$seen"
for line in "to (4, 3), then to (4, -1): the same" "to (4, 3), then to (0, -1): (4,) became (1,)" \
    "the same by optimize(model) alone: (4,) became (1,)" \
    "GroupNormalization written out: (3, 4, 2, 2) as before, off by"; do
    grep -qF "$line" <<<"$seen" || { echo "not seen: $line" >&2; exit 1; }
done
