#!/usr/bin/env bash
# ai-edge-litert 2.3.0: the reference kernel of LOCAL_RESPONSE_NORMALIZATION leaves out the last channel of each window.
#
# The model: one such operator of radius 0, 1 or 2 on 8 channels, float, as TensorFlow's converter makes it of
# `tf.nn.local_response_normalization`. BUILTIN_REF is what one takes to find out what a model ought to give.
#
# Expected: each channel is divided by what the channels from c - radius to c + radius give, as in TensorFlow, and the same
# numbers with every resolver of operators.
# Seen: the optimised kernel and XNNPACK's resolver do that. With BUILTIN_REF the window ends at c + radius - 1: with
# radius 0 it is empty, and nothing is normalised. The shape is right and nothing is said. The text of
# `tf.nn.local_response_normalization` is the other kernel's.
#
# Exit code 0: as described; 1: something has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    ai-edge-litert==2.3.0 tensorflow-cpu==2.21.0 numpy==2.2.6
cat >"$folder/lrn.py" <<'PYTHON'
import importlib.metadata as metadata

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType

BIAS, ALPHA, BETA = 1.0, 0.5, 0.6
x = np.random.default_rng(0).standard_normal((1, 2, 2, 8)).astype(np.float32)
print("ai-edge-litert", metadata.version("ai-edge-litert"), "tensorflow", tf.__version__)


def normalised(radius, missing):
    """Divide by the window of each channel, less its last `missing` channels."""
    squares = [(x[..., max(0, c - radius) : c + radius + 1 - missing] ** 2).sum(-1) for c in range(8)]
    return x * (BIAS + ALPHA * np.stack(squares, -1)) ** -BETA


def computed(radius, resolver):
    class Normalised(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec(x.shape)])
        def run(self, values):
            return tf.nn.local_response_normalization(values, radius, BIAS, ALPHA, BETA)

    module = Normalised()
    np.testing.assert_allclose(module.run(x), normalised(radius, 0), rtol=1e-5)
    content = tf.lite.TFLiteConverter.from_concrete_functions([module.run.get_concrete_function()], module).convert()
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


short = []
for radius in (0, 1, 2):
    for resolver in (OpResolverType.BUILTIN, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES, OpResolverType.BUILTIN_REF):
        found = computed(radius, resolver)
        right, cut = (np.allclose(found, normalised(radius, missing), rtol=1e-5) for missing in (0, 1))
        print(f"radius {radius}, {resolver.name}:", "as TensorFlow" if right else "a channel short" if cut else "otherwise")
        short.append(cut and not right)
print("a channel is missing" if short == [False, False, True] * 3 else "as it should be")
PYTHON
seen=$(TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" "$folder/lrn.py" 2>/dev/null)
echo "$seen"
grep -qF "a channel is missing" <<<"$seen" || exit 1
