#!/usr/bin/env bash
# ai-edge-litert 2.1.2: a tensor that a RESHAPE has read is written over while it is still to be read.
#
# The model: s = x + 1, a = s + 1, b = RESHAPE(a), c = b + 1, y = a + c, all float32 of four values. a is computed in
# place of s, and b lies in a's memory, as its bytes are the same. c is the last to read b and is computed in place too:
# a, which y reads, is gone by then. Without the first sum, a lies in memory of its own and the result is right.
#
# Expected: y = 2 x + 5 with every resolver of operators, as with the default one (XNNPACK) and whenever
# experimental_preserve_all_tensors keeps the tensors apart: 5, 7, 9, 11 for x = 0, 1, 2, 3.
# Seen: 6, 8, 10, 12 without the default delegates and with the reference kernels, y = c + c; nothing is said.
#
# Exit code 0: as described; 1: something has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check ai-edge-litert==2.1.2 flatbuffers==25.12.19 numpy==2.2.6
cat >"$folder/reshaped.py" <<'PYTHON'
"""y = (x + 2) + (RESHAPE(x + 2) + 1)."""
import importlib.metadata as metadata

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

model = schema.ModelT()
model.version = 3
model.buffers = [schema.BufferT(), schema.BufferT(), schema.BufferT()]
model.buffers[1].data = np.ones(1, np.float32).view(np.uint8)
model.buffers[2].data = np.array([1, 4], np.int32).view(np.uint8)
model.operatorCodes = []
for name in ("ADD", "RESHAPE"):
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
    code.version = 1
    model.operatorCodes.append(code)


def tensor(name, shape, buffer=0, kind=schema.TensorType.FLOAT32):
    made = schema.TensorT()
    made.name, made.shape, made.buffer, made.type = name, shape, buffer, kind
    return made


def operator(name, inputs, output):
    made = schema.OperatorT()
    made.opcodeIndex, made.inputs, made.outputs = ("ADD", "RESHAPE").index(name), inputs, [output]
    made.builtinOptions = schema.AddOptionsT() if name == "ADD" else schema.ReshapeOptionsT()
    if name == "RESHAPE":
        made.builtinOptions.newShape = [1, 4]
    made.builtinOptionsType = getattr(schema.BuiltinOptions, type(made.builtinOptions).__name__[:-1])
    return made


X, ONE, SHAPE, S, A, B, C, Y = range(8)
graph = schema.SubGraphT()
graph.tensors = [
    tensor("x", [1, 4]),
    tensor("one", [1], 1),
    tensor("shape", [2], 2, schema.TensorType.INT32),
    *(tensor(name, [1, 4]) for name in "sabcy"),
]
graph.operators = [
    operator("ADD", [X, ONE], S),
    operator("ADD", [S, ONE], A),
    operator("RESHAPE", [A, SHAPE], B),
    operator("ADD", [B, ONE], C),
    operator("ADD", [A, C], Y),
]
graph.inputs, graph.outputs = [X], [Y]
model.subgraphs = [graph]
builder = flatbuffers.Builder(1024)
builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
content = bytes(builder.Output())

print("ai-edge-litert", metadata.version("ai-edge-litert"))
for resolver in ("AUTO", "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "BUILTIN_REF"):
    for kept in (False, True):
        interpreter = Interpreter(
            model_content=content,
            experimental_op_resolver_type=OpResolverType[resolver],
            experimental_preserve_all_tensors=kept,
        )
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.arange(4, dtype=np.float32)[None])
        interpreter.invoke()
        found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).ravel().astype(int).tolist()
        print(resolver, "all tensors kept:" if kept else "as it is:", found)
PYTHON
seen=$("$folder/venv/bin/python" "$folder/reshaped.py" 2>/dev/null)
echo "$seen"
for resolver in BUILTIN_WITHOUT_DEFAULT_DELEGATES BUILTIN_REF; do
    grep -qF "$resolver as it is: [6, 8, 10, 12]" <<<"$seen" || exit 1
    grep -qF "$resolver all tensors kept: [5, 7, 9, 11]" <<<"$seen" || exit 1
done
grep -qF "AUTO as it is: [5, 7, 9, 11]" <<<"$seen" || exit 1
