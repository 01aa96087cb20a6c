#!/usr/bin/env bash
# onnx 1.23.2: onnx.version_converter brings a network to a newer opset, and its results are others.
#
# Resize of opset 10, and Upsample before it, take a pixel from its index over the scale. From opset 11 on that is
# coordinate_transformation_mode "asymmetric", and half_pixel is the default. The converter adds the input that became
# possible and leaves the attribute out (onnx/onnx#8480). Hardmax flattened its input at the axis until opset 12, and has
# looked at one axis since 13; the converter only counts the version up, where it rewrites Softmax and LogSoftmax, which
# changed in the same way.
#
# Expected: a converted network computes what it did, as those of Softmax do, or is refused.
# Seen, by ONNX Runtime 1.32.0: bilinear maps of twice the size are off by as much as neighbours differ; those of twice the
# size by the nearest pixel are the same, which hides it; of a quarter of the size they take other pixels. Hardmax chooses
# other places. The checker finds nothing, before or after.
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
from onnx import TensorProto, helper, numpy_helper, version_converter

onnxruntime.set_default_logger_severity(4)
rng = np.random.default_rng(0)


def network(op, shape, y_shape, opset, constants=(), **attributes):
    names = [f"constant_{number}" for number in range(len(constants))]
    graph = helper.make_graph(
        [helper.make_node(op, ["x", *names], ["y"], **attributes)],
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, y_shape)],
        [numpy_helper.from_array(value, name) for value, name in zip(constants, names, strict=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def outputs(model, x):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def compare(title, model, newer):
    x = rng.standard_normal([side.dim_value for side in model.graph.input[0].type.tensor_type.shape.dim])
    x = x.astype(np.float32)
    converted = version_converter.convert_version(model, newer)
    onnx.checker.check_model(converted)
    off = np.abs(outputs(converted, x) - outputs(model, x)).max()
    print(f"{title}, {model.opset_import[0].version} to {newer}: {'the same' if off < 1e-5 else f'off by {off:.2f}'}")


print("onnx", onnx.__version__)
for op, opset in (("Resize", 10), ("Upsample", 9)):
    for mode, scale in (("nearest", 2), ("linear", 2), ("nearest", 0.25)):
        if op == "Resize" or scale > 1:
            scales = np.array([1, 1, scale, scale], np.float32)
            side = int(8 * scale)
            model = network(op, (1, 2, 8, 8), (1, 2, side, side), opset, (scales,), mode=mode)
            compare(f"{op}, {mode}, x {scale}", model, 13)
for op in ("Softmax", "LogSoftmax", "Hardmax"):
    compare(op, network(op, (2, 3, 4), (2, 3, 4), 11), 13)
PYTHON
)
echo "$seen"
for line in "Resize, nearest, x 2, 10 to 13: the same" "Resize, linear, x 2, 10 to 13: off by" \
    "Resize, nearest, x 0.25, 10 to 13: off by" "Upsample, nearest, x 2, 9 to 13: the same" \
    "Upsample, linear, x 2, 9 to 13: off by" "Softmax, 11 to 13: the same" "LogSoftmax, 11 to 13: the same" \
    "Hardmax, 11 to 13: off by"; do
    grep -qF "$line" <<<"$seen" || { echo "not seen: $line" >&2; exit 1; }
done
