#!/usr/bin/env bash
# onnx 1.23.2: its reference evaluator pads MaxPool on other sides than the model says, and strides SAME_LOWER short.
#
# Pads are [top, left, bottom, right]. The evaluator, which people hold a runtime against, has three codes for pools:
# AveragePool and LpPool agree with ONNX Runtime and with onnx.shape_inference, MaxPool does not where the pads differ
# from side to side, nor for SAME_LOWER with a stride. Dilated AveragePool and LpPool without padding (VALID) have the
# size of an undilated kernel.
#
# Expected: the shape that onnx.shape_inference gives for the same model.
# Seen: one row above and below and a column at the right make 7 x 8 become 7 x 9 in place of 8 x 8 (kernel 2 x 2), a
# padding to the left alone goes to the top, and SAME_LOWER at stride 2 gives 3 x 4 in place of 4 x 4.
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
print("onnx", onnx.__version__, "onnxruntime", onnxruntime.__version__)


def size(shape):
    return "x".join(str(side) for side in tuple(shape)[2:])


def compare(title, op, **attributes):
    graph = helper.make_graph(
        [helper.make_node(op, ["x"], ["y"], **attributes)],
        "pool",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_empty_tensor_value_info("y")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True).graph.output[0]
    sides = [dim.dim_value for dim in inferred.type.tensor_type.shape.dim]
    ran = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": x})
    evaluated = ReferenceEvaluator(model).run(None, {"x": x})[0]
    print(f"{op}, {title}: inferred {size(sides)}, run {size(ran[0].shape)}, evaluated {size(evaluated.shape)}")


for op in ("MaxPool", "AveragePool"):
    compare("pads 1 0 1 1", op, kernel_shape=[2, 2], pads=[1, 0, 1, 1])
    compare("pads 0 1 0 0", op, kernel_shape=[2, 2], pads=[0, 1, 0, 0])
    compare("pads 1 1 1 1", op, kernel_shape=[2, 2], pads=[1, 1, 1, 1])
    compare("SAME_LOWER", op, kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_LOWER")
    compare("VALID, dilated", op, kernel_shape=[3, 3], dilations=[2, 2], auto_pad="VALID")
PYTHON
)
echo "$seen"
for line in "MaxPool, pads 1 0 1 1: inferred 8x8, run 8x8, evaluated 7x9" \
    "MaxPool, pads 0 1 0 0: inferred 6x8, run 6x8, evaluated 7x7" \
    "MaxPool, pads 1 1 1 1: inferred 8x9, run 8x9, evaluated 8x9" \
    "MaxPool, SAME_LOWER: inferred 4x4, run 4x4, evaluated 3x4" \
    "MaxPool, VALID, dilated: inferred 3x4, run 3x4, evaluated 3x4" \
    "AveragePool, pads 1 0 1 1: inferred 8x8, run 8x8, evaluated 8x8" \
    "AveragePool, pads 0 1 0 0: inferred 6x8, run 6x8, evaluated 6x8" \
    "AveragePool, SAME_LOWER: inferred 4x4, run 4x4, evaluated 4x4" \
    "AveragePool, VALID, dilated: inferred 3x4, run 3x4, evaluated 5x6"; do
    grep -qF "$line" <<<"$seen" || { echo "not seen: $line" >&2; exit 1; }
done
