#!/usr/bin/env bash
# ONNX Runtime 1.32.0: quantize_static in the format QOperator quantises a bias that two convolutions share for the first.
#
# The model: one Conv of x and one of 20 * x with the same weights and the same bias, as heads that detect on several levels
# of a pyramid have them, and as tools leave them that join equal constants. A bias is int32 at the scale of its
# convolution's input times that of its weights.
#
# Expected: two int32 biases, or one node left in float; each output about as near to the float model's as with two
# initializers of the same values.
# Seen: one int32 bias at the first convolution's scale, read by both. The second adds 20 times its bias: bias 3 comes out
# 57 too high. With two initializers all is well, and so is the format QDQ with one. Nothing is said.
#
# Exit code 0: as described; 1: something has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 numpy==2.2.6
cd "$folder"
cat >shared.py <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

BIAS = np.array([3, -2, 1, 4], np.float32)
rng = np.random.default_rng(0)
weights = rng.standard_normal((4, 3, 3, 3)).astype(np.float32)
images = rng.uniform(-1, 1, (9, 1, 3, 8, 8)).astype(np.float32)
print("onnxruntime", onnxruntime.__version__, "onnx", onnx.__version__)


def model(shares):
    values = {"w": weights, "b": BIAS, "twenty": np.float32(20)}
    second = ["w", "b"] if shares else ["w2", "b2"]
    values |= {} if shares else {"w2": weights, "b2": BIAS}
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["small"], pads=[1] * 4),
        helper.make_node("Mul", ["x", "twenty"], ["larger"]),
        helper.make_node("Conv", ["larger", *second], ["large"], pads=[1] * 4),
    ]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 4, 8, 8)) for name in ("small", "large")]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 8, 8))]
    initializers = [numpy_helper.from_array(value, name) for name, value in values.items()]
    graph = helper.make_graph(nodes, "shared", inputs, outputs, initializers)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(made, full_check=True)
    return made


class Images(CalibrationDataReader):
    def __init__(self):
        self.left = iter(images[1:])

    def get_next(self):
        image = next(self.left, None)
        return None if image is None else {"x": image}


def outputs(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"x": images[0]})


off = {}
for shares in (False, True):
    for form, kind in ((QuantFormat.QOperator, QuantType.QUInt8), (QuantFormat.QDQ, QuantType.QInt8)):
        onnx.save(model(shares), "float.onnx")
        quantize_static(
            "float.onnx", "int8.onnx", Images(), quant_format=form, activation_type=kind, weight_type=QuantType.QInt8
        )
        pairs = zip(outputs("int8.onnx"), outputs("float.onnx"))
        small, large = ((found - wanted).mean((0, 2, 3)) for found, wanted in pairs)
        off[shares, form] = large
        print(form.name, "shared" if shares else "apart", "errors", small.round(1).tolist(), large.round(1).tolist())
wrong = off.pop((True, QuantFormat.QOperator))
right = max(float(np.abs(errors).max()) for errors in off.values())
print("19 times the bias" if np.allclose(wrong, 19 * BIAS, atol=1.5) and right < 1.5 else "as it should be")
PYTHON
seen=$("$folder/venv/bin/python" shared.py 2>/dev/null)
echo "$seen"
grep -qF "19 times the bias" <<<"$seen" || exit 1
