#!/usr/bin/env bash
# ai-edge-litert 2.1.2: TFLite_Detection_PostProcess gives the boxes and scores of the frame before again.
#
# The model: the operator alone, as at the end of TensorFlow's single-shot detectors, with four anchors, one class, at most
# four detections and nms_score_threshold 0.5; once with fast suppression, which exporters choose, and once with regular
# (use_regular_nms). The first frame has an object at each anchor, with scores of 0.9, 0.8, 0.7 and 0.6, the second one
# none: all its scores are 0.1.
#
# Expected: no score of 0.5 or more for the second frame, and the same outputs as from an interpreter that never saw the
# first one. Many a program takes all rows whose score is above its own threshold and never reads the count.
# Seen: with fast suppression the count is 0, and the rows are those of the first frame: its boxes, and scores of 0.9, 0.8,
# 0.7, 0.6. With regular suppression they are 0.
#
# Exit code 0: as described; 1: something has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check ai-edge-litert==2.1.2 flatbuffers==25.12.19 numpy==2.2.6
cat >"$folder/detections.py" <<'PYTHON'
"""Two frames through the operator that ends single-shot detectors."""
import importlib.metadata as metadata

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from flatbuffers import flexbuffers

ANCHORS = np.array([[0.2, 0.2, 0.1, 0.1], [0.2, 0.8, 0.1, 0.1], [0.8, 0.2, 0.1, 0.1], [0.8, 0.8, 0.1, 0.1]], np.float32)


def detector(regular):
    options = flexbuffers.Builder()
    with options.Map():
        for key in ("max_detections", "detections_per_class"):
            options.Int(key, 4)
        for key in ("max_classes_per_detection", "num_classes"):
            options.Int(key, 1)
        for key in ("y_scale", "x_scale", "h_scale", "w_scale"):
            options.Float(key, 1.0)
        options.Float("nms_score_threshold", 0.5)
        options.Float("nms_iou_threshold", 0.5)
        options.Bool("use_regular_nms", regular)
    model = schema.ModelT()
    model.version = 3
    model.buffers = [schema.BufferT(), schema.BufferT()]
    model.buffers[1].data = ANCHORS.ravel().view(np.uint8)
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode, code.version = "TFLite_Detection_PostProcess", 1
    model.operatorCodes = [code]
    graph = schema.SubGraphT()
    graph.tensors = []
    shapes = {"boxes": [1, 4, 4], "scores": [1, 4, 1], "anchors": [4, 4]}
    shapes |= {"found": [1, 4, 4], "classes": [1, 4], "found_scores": [1, 4], "count": [1]}
    for name, shape in shapes.items():
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name, shape, schema.TensorType.FLOAT32
        tensor.buffer = 1 if name == "anchors" else 0
        graph.tensors.append(tensor)
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0, 1, 2], [3, 4, 5, 6]
    operator.customOptions = np.frombuffer(options.Finish(), np.uint8)
    graph.operators, graph.inputs, graph.outputs = [operator], [0, 1], [3, 4, 5, 6]
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    interpreter = Interpreter(model_content=bytes(builder.Output()))
    interpreter.allocate_tensors()
    return interpreter


def frame(interpreter, scores):
    boxes, given = interpreter.get_input_details()
    interpreter.set_tensor(boxes["index"], np.zeros((1, 4, 4), np.float32))
    interpreter.set_tensor(given["index"], np.array(scores, np.float32).reshape(1, 4, 1))
    interpreter.invoke()
    found, _, found_scores, count = (interpreter.get_tensor(out["index"]) for out in interpreter.get_output_details())
    return found[0], [round(float(score), 2) for score in found_scores[0]], int(count[0])


print("ai-edge-litert", metadata.version("ai-edge-litert"))
for name, regular in (("fast", False), ("regular", True)):
    interpreter = detector(regular)
    first, first_scores, first_count = frame(interpreter, [0.9, 0.8, 0.7, 0.6])
    second, second_scores, second_count = frame(interpreter, [0.1, 0.1, 0.1, 0.1])
    print(f"{name}, first frame: count {first_count}, scores {first_scores}")
    boxes = "the first frame's" if np.array_equal(first, second) else "zeros" if not second.any() else "others"
    print(f"{name}, second frame: count {second_count}, scores {second_scores}, boxes {boxes}")
PYTHON
seen=$("$folder/venv/bin/python" "$folder/detections.py" 2>/dev/null)
echo "$seen"
for name in fast regular; do
    grep -qF "$name, first frame: count 4, scores [0.9, 0.8, 0.7, 0.6]" <<<"$seen" || exit 1
done
grep -qF "fast, second frame: count 0, scores [0.9, 0.8, 0.7, 0.6], boxes the first frame's" <<<"$seen" || exit 1
grep -qF "regular, second frame: count 0, scores [0.0, 0.0, 0.0, 0.0], boxes zeros" <<<"$seen" || exit 1
