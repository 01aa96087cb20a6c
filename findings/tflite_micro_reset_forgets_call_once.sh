#!/usr/bin/env bash
# tflite-micro 0.dev20261023182759: a variable that a model's CALL_ONCE sets to 5 is 0 after the interpreter's reset().
#
# A streaming model assigns its variables in a subgraph that CALL_ONCE runs before the first inference. The header of
# MicroInterpreter::Reset() promises the state in which the interpreter was created.
#
# Expected: after reset() the outputs of a new interpreter again, 6, 7, 8 for a counter that begins at 5.
# Seen: 1, 2, 3. The variables are cleared, and the subgraph, which has run, does not run again; nothing is said. A wake
# word whose states begin with a zero point other than 0 hears its first frames differently after each reset.
#
# Exit code 0: as described; 1: something has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check tflite-micro==0.dev20261023182759 flatbuffers==25.9.23 numpy==2.2.6
cat >"$folder/counter.py" <<'PYTHON'
"""A counter: each inference adds the input to a variable, which begins at 5."""
import importlib.metadata as metadata

import flatbuffers
import numpy as np
from tflite_micro.python.tflite_micro import runtime
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

model = schema.ModelT()
model.version = 3
model.buffers = [schema.BufferT(), schema.BufferT()]
model.buffers[1].data = np.array([5, 5, 5, 5], np.int8).view(np.uint8)
model.operatorCodes = []


def tensor(kind, shape, buffer=0):
    made = schema.TensorT()
    made.name, made.type, made.shape, made.buffer = f"tensor_{kind}_{buffer}", kind, shape, buffer
    if kind == schema.TensorType.INT8:
        made.quantization = schema.QuantizationParametersT()
        made.quantization.scale, made.quantization.zeroPoint = [1.0], [0]
    return made


def operator(name, inputs, outputs, options=None):
    code, made = schema.OperatorCodeT(), schema.OperatorT()
    code.builtinCode = getattr(schema.BuiltinOperator, name)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.version = 2 if name == "ADD" else 1
    made.opcodeIndex, made.inputs, made.outputs = len(model.operatorCodes), inputs, outputs
    model.operatorCodes.append(code)
    if options is not None:
        made.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__[:-1])
        made.builtinOptions = options
    return made


def graph(tensors, operators, inputs=(), outputs=()):
    made = schema.SubGraphT()
    made.tensors, made.operators, made.inputs, made.outputs = tensors, operators, list(inputs), list(outputs)
    return made


handle = schema.VarHandleOptionsT()
handle.sharedName = "count"
once = schema.CallOnceOptionsT()
once.initSubgraphIndex = 1
RESOURCE, INT8 = schema.TensorType.RESOURCE, schema.TensorType.INT8
main = [
    operator("CALL_ONCE", [], [], once),
    operator("VAR_HANDLE", [], [1], handle),
    operator("READ_VARIABLE", [1], [2]),
    operator("ADD", [2, 0], [3], schema.AddOptionsT()),
    operator("ASSIGN_VARIABLE", [1, 3], []),
]
begin = [operator("VAR_HANDLE", [], [0], handle), operator("ASSIGN_VARIABLE", [0, 1], [])]
model.subgraphs = [
    graph([tensor(INT8, [1, 4]), tensor(RESOURCE, []), tensor(INT8, [1, 4]), tensor(INT8, [1, 4])], main, [0], [3]),
    graph([tensor(RESOURCE, []), tensor(INT8, [1, 4], 1)], begin),
]
builder = flatbuffers.Builder(1024)
builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
content = bytes(builder.Output())


def first_three(interpreter):
    counts = []
    for _ in range(3):
        interpreter.set_input(np.ones((1, 4), np.int8), 0)
        interpreter.invoke()
        counts.append(int(interpreter.get_output(0).ravel()[0]))
    return counts


interpreter = runtime.Interpreter.from_bytes(content)
print("tflite-micro", metadata.version("tflite-micro"))
print("new:        ", first_three(interpreter))
interpreter.reset()
print("after reset:", first_three(interpreter))
print("another new:", first_three(runtime.Interpreter.from_bytes(content)))
PYTHON
seen=$("$folder/venv/bin/python" "$folder/counter.py" 2>/dev/null)
echo "$seen"
grep -q "^new:         \[6, 7, 8\]" <<<"$seen" || exit 1
grep -q "^after reset: \[1, 2, 3\]" <<<"$seen" || exit 1
grep -q "^another new: \[6, 7, 8\]" <<<"$seen" || exit 1
