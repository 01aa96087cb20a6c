#!/usr/bin/env bash
# tflite-micro 0.dev20261023182759: while its interpreter runs, no other Python thread does.
#
# Both packages run a model in C++ that needs nothing of Python. ai-edge-litert 2.1.2 leaves Python's lock meanwhile, so
# that two interpreters compare a model on two processors in the time of the slower one.
#
# Expected: a thread that wakes up every millisecond goes on during invoke(), in both.
# Seen: with tflite-micro it stands still for all of an inference; in a program that asks both interpreters from threads,
# the other one waits too. A process of its own for TFLite Micro helps.
#
# Exit code 0: as described; 1: something has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    tflite-micro==0.dev20261023182759 ai-edge-litert==2.1.2 flatbuffers==25.9.23 numpy==2.2.6
cat >"$folder/threads.py" <<'PYTHON'
"""The longest pause of a thread during one inference of fully connected layers, as a share of that inference."""
import threading
import time

import flatbuffers
import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from tflite_micro.python.tflite_micro import runtime
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

WIDTH, LAYERS = 1024, 300


def tensor(shape, buffer):
    made = schema.TensorT()
    made.name, made.type, made.shape, made.buffer = f"tensor_{buffer}", schema.TensorType.INT8, shape, buffer
    made.quantization = schema.QuantizationParametersT()
    made.quantization.scale, made.quantization.zeroPoint = [0.01], [0]
    return made


model = schema.ModelT()
model.version = 3
model.buffers = [schema.BufferT(), schema.BufferT()]
model.buffers[1].data = np.random.default_rng(0).integers(-127, 128, WIDTH * WIDTH).astype(np.int8).view(np.uint8)
code = schema.OperatorCodeT()
code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
code.version = 4
model.operatorCodes = [code]
graph = schema.SubGraphT()
graph.tensors = [tensor([WIDTH, WIDTH], 1), *(tensor([1, WIDTH], 0) for _ in range(LAYERS + 1))]
graph.operators = []
for layer in range(LAYERS):
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [layer + 1, 0, -1], [layer + 2]
    operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    operator.builtinOptions = schema.FullyConnectedOptionsT()
    graph.operators.append(operator)
graph.inputs, graph.outputs = [1], [LAYERS + 1]
model.subgraphs = [graph]
builder = flatbuffers.Builder(1024)
builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
content = bytes(builder.Output())


def longest_pause(invoke):
    """Of a thread that wakes up every millisecond, over the seconds that `invoke` takes."""
    awake, running = [], True

    def wake_up():
        while running:
            awake.append(time.perf_counter())
            time.sleep(0.001)

    thread = threading.Thread(target=wake_up)
    thread.start()
    time.sleep(0.05)
    begin = time.perf_counter()
    invoke()
    end = time.perf_counter()
    time.sleep(0.05)
    running = False
    thread.join()
    return max(later - earlier for earlier, later in zip(awake, awake[1:])) / (end - begin)


micro = runtime.Interpreter.from_bytes(content)
micro.set_input(np.zeros((1, WIDTH), np.int8), 0)
litert = Interpreter(
    model_content=content, num_threads=1, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
)
litert.allocate_tensors()
for name, invoke in (("tflite-micro", micro.invoke), ("ai-edge-litert", litert.invoke)):
    share = longest_pause(invoke)
    print(f"{name}: the thread stands still for {'all' if share > 0.9 else 'a part' if share > 0.5 else 'little'} of it")
PYTHON
seen=$("$folder/venv/bin/python" "$folder/threads.py" 2>/dev/null)
echo "$seen"
grep -q "^tflite-micro: .* for all of it" <<<"$seen" || exit 1
grep -q "^ai-edge-litert: .* for little of it" <<<"$seen" || exit 1
