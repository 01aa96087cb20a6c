#!/usr/bin/env bash
# ONNX Runtime 1.32.0: a dilated pool with auto_pad SAME_UPPER or SAME_LOWER puts out a smaller map than it took.
#
# SAME pads so that a map of n pixels has ceil(n / stride) afterwards, whatever the dilation: so the operators' text, and
# so onnx.shape_inference. ONNX Runtime computes the padding of the kernel as if it were not dilated (and the size of the
# output with the dilation): MaxPool, AveragePool and LpPool, with a warning of the shape but no error. Of a Conv with both
# it says that it does not support them.
#
# Expected: a map of 7 x 8 stays 7 x 8 at stride 1, with the values that the same pads in numbers give.
# Seen: it becomes 5 x 6 for a kernel of 3 x 3 and dilation 2; with pads [2, 2, 2, 2] it stays, and the reference evaluator
# of onnx 1.23.2 agrees with that.
#
# Exit code 0: as described; 1: something has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0
seen=$("$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

x = np.random.default_rng(0).standard_normal((1, 1, 7, 8)).astype(np.float32)
print("onnxruntime", onnxruntime.__version__, "onnx", onnx.__version__)


def model(op, **attributes):
    graph = helper.make_graph(
        [helper.make_node(op, ["x"], ["y"], kernel_shape=[3, 3], **attributes)],
        "pool",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_empty_tensor_value_info("y")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    return onnx.shape_inference.infer_shapes(made, check_type=True, strict_mode=True)


def computed(made):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def size(shape):
    return " x ".join(str(side) for side in tuple(shape)[2:])


for op in ("MaxPool", "AveragePool", "LpPool"):
    for auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        made = model(op, dilations=[2, 2], auto_pad=auto_pad)
        inferred = [dim.dim_value for dim in made.graph.output[0].type.tensor_type.shape.dim]
        print(f"{op} {auto_pad}: inferred {size(inferred)}, computed {size(computed(made).shape)}")
    plain = computed(model(op, auto_pad="SAME_UPPER"))
    explicit = model(op, dilations=[2, 2], pads=[2, 2, 2, 2])
    agrees = np.allclose(computed(explicit), ReferenceEvaluator(explicit).run(None, {"x": x})[0], atol=1e-5)
    print(f"{op} without dilation: {size(plain.shape)}; with pads in numbers: {size(computed(explicit).shape)}, {agrees}")
PYTHON
)
echo "$seen"
for op in MaxPool AveragePool LpPool; do
    for line in "$op SAME_UPPER: inferred 7 x 8, computed 5 x 6" "$op SAME_LOWER: inferred 7 x 8, computed 5 x 6" \
        "$op without dilation: 7 x 8; with pads in numbers: 7 x 8, True"; do
        grep -qF "$line" <<<"$seen" || { echo "not seen: $line" >&2; exit 1; }
    done
done
