#!/usr/bin/env bash
# tflite-micro 0.dev20261023182759: an int8 RELU6 copies codes to an output of another scale.
#
# The model: y = RELU6(x) alone, x of scale 0.05 and zero point 0, y of [0, 6] over all codes, scale 6 / 255 and zero
# point -128, as a converter's calibration gives it where the operator before has other readers, too.
#
# Expected: RELU6 rescales where the scales differ, as RELU does in the same library, and as LiteRT does for both.
# Seen: RELU6 clamps the codes of x and gives them out as codes of y. A real 0 becomes 3.01, a 2 becomes 3.95, and what
# is 6 becomes 5.8; where the scales and zero points are equal, all is well. Nothing is said.
#
# Exit code 0: as described; 1: something has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    ai-edge-litert==2.1.2 tflite-micro==0.dev20261023182759 flatbuffers==25.9.23 numpy==2.2.6
cat >"$folder/relu.py" <<'PYTHON'
import importlib.metadata as metadata

import flatbuffers
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from tflite_micro.python.tflite_micro import runtime
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

X = (0.05, 0)
REALS = (-2.0, 0.0, 2.0, 6.0)


def tensor(name, scale, zero_point):
    made = schema.TensorT()
    made.name, made.shape, made.type = name, [1, len(REALS)], schema.TensorType.INT8
    made.quantization = schema.QuantizationParametersT()
    made.quantization.scale, made.quantization.zeroPoint = [scale], [zero_point]
    return made


def model_of(op, y):
    model = schema.ModelT()
    model.version, model.buffers = 3, [schema.BufferT()]
    code, operator, graph = schema.OperatorCodeT(), schema.OperatorT(), schema.SubGraphT()
    code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, op)
    code.version = 2
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0], [1]
    graph.tensors = [tensor("x", *X), tensor("y", *y)]
    graph.operators, graph.inputs, graph.outputs = [operator], [0], [1]
    model.operatorCodes, model.subgraphs = [code], [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def by_litert(content, codes):
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], codes)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def by_micro(content, codes):
    interpreter = runtime.Interpreter.from_bytes(content)
    interpreter.set_input(codes, 0)
    interpreter.invoke()
    return interpreter.get_output(0)


print(*(f"{name} {metadata.version(name)}" for name in ("ai-edge-litert", "tflite-micro")), sep=", ")
codes = np.rint(np.array([REALS]) / X[0] + X[1]).astype(np.int8)
for op in ("RELU", "RELU6"):
    for place, y in (("the same scale", X), ("another scale", (6 / 255, -128))):
        for library, run in (("ai-edge-litert", by_litert), ("tflite-micro", by_micro)):
            found = (run(model_of(op, y), codes).astype(int) - y[1]) * y[0]
            # Of RELU, 6 may be what the output's codes end at.
            right = np.abs(found - np.clip(REALS, 0, 6)).max() < 0.03
            said = ", ".join(f"{value:.2f}" for value in found.ravel())
            print(f"{op}, {place}, {library}: {'right' if right else 'wrong'}: {said} of {REALS}")
PYTHON
seen=$("$folder/venv/bin/python" "$folder/relu.py" 2>/dev/null)
echo "$seen"
for op in RELU RELU6; do
    for library in ai-edge-litert tflite-micro; do
        grep -qF "$op, the same scale, $library: right" <<<"$seen" || exit 1
    done
    grep -qF "$op, another scale, ai-edge-litert: right" <<<"$seen" || exit 1
done
grep -qF "RELU, another scale, tflite-micro: right" <<<"$seen" || exit 1
grep -qF "RELU6, another scale, tflite-micro: wrong: 3.01, 3.01, 3.95, 5.84" <<<"$seen" || exit 1
