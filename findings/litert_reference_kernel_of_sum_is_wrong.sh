#!/usr/bin/env bash
# ai-edge-litert 2.1.2: with the reference kernels an int8 SUM is no sum.
#
# The model: one SUM along the last axis of four int8 values, input and output of scale 0.05 and zero point 0: the sum of
# the codes, held between -128 and 127. BUILTIN_REF is what one takes to find out what a model ought to give.
#
# Expected: 67, -128 (of -401), 127 (of 139 and 205) with every resolver of operators, as with the two others of LiteRT
# and with TFLite Micro.
# Seen: -1, -1, -117, -51 with BUILTIN_REF; the last two are 139 and 205 modulo 256. With other scales and zero points
# some sums are right and others are not. Its MEAN of the same values is right. Nothing is said.
#
# Exit code 0: as described; 1: something has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    ai-edge-litert==2.1.2 tflite-micro==0.dev20261023182759 flatbuffers==25.9.23 numpy==2.2.6
cat >"$folder/sum.py" <<'PYTHON'
import importlib.metadata as metadata

import flatbuffers
import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from tflite_micro.python.tflite_micro import runtime
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

X = np.array([[[50, 20, -10, 7], [-100, -101, -128, -72], [30, 40, 50, 19], [100, 60, 40, 5]]], np.int8)


def tensor(name, shape, scale=None, zero_point=0):
    made = schema.TensorT()
    made.name, made.shape, made.type = name, shape, schema.TensorType.INT32 if scale is None else schema.TensorType.INT8
    if scale is None:
        made.buffer = 1
    else:
        made.quantization = schema.QuantizationParametersT()
        made.quantization.scale, made.quantization.zeroPoint = [scale], [zero_point]
    return made


def model_of(op, x, y):
    model = schema.ModelT()
    model.version, model.buffers = 3, [schema.BufferT(), schema.BufferT()]
    model.buffers[1].data = np.array([2], np.int32).view(np.uint8)
    code, operator, graph = schema.OperatorCodeT(), schema.OperatorT(), schema.SubGraphT()
    code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, op)
    code.version = 2
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0, 1], [2]
    operator.builtinOptions = schema.ReducerOptionsT()
    operator.builtinOptionsType = schema.BuiltinOptions.ReducerOptions
    graph.tensors = [tensor("x", list(X.shape), *x), tensor("axis", [1]), tensor("y", list(X.shape[:2]), *y)]
    graph.operators, graph.inputs, graph.outputs = [operator], [0], [2]
    model.operatorCodes, model.subgraphs = [code], [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def run(content, name):
    if name == "tflite-micro":
        interpreter = runtime.Interpreter.from_bytes(content)
        interpreter.set_input(X, 0)
        interpreter.invoke()
        return interpreter.get_output(0)
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=OpResolverType[name])
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], X)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


print(*(f"{name} {metadata.version(name)}" for name in ("ai-edge-litert", "tflite-micro")), sep=", ")
for op in ("SUM", "MEAN"):
    for x, y in (((0.05, 0), (0.05, 0)), ((0.05, 3), (0.1, -9))):
        reals = (X.astype(int) - x[1]) * x[0]
        real = reals.sum(2) if op == "SUM" else reals.mean(2)
        expected = np.clip(np.rint(real / y[0]) + y[1], -128, 127)
        for name in ("AUTO", "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "BUILTIN_REF", "tflite-micro"):
            found = run(model_of(op, x, y), name).astype(int)
            verdict = "right" if np.abs(found - expected).max() <= 1 else "wrong"
            print(f"{op}, x {x}, y {y}, {name}: {verdict}: {found.ravel().tolist()}")
PYTHON
seen=$("$folder/venv/bin/python" "$folder/sum.py" 2>/dev/null)
echo "$seen"
for numbers in "x (0.05, 0), y (0.05, 0)" "x (0.05, 3), y (0.1, -9)"; do
    for name in AUTO BUILTIN_WITHOUT_DEFAULT_DELEGATES tflite-micro; do
        grep -qF "SUM, $numbers, $name: right" <<<"$seen" || exit 1
    done
    grep -qF "SUM, $numbers, BUILTIN_REF: wrong" <<<"$seen" || exit 1
    grep -qF "MEAN, $numbers, BUILTIN_REF: right" <<<"$seen" || exit 1
done
