"""Where a classifier is cut, and that what is left computes the same."""

from pathlib import Path

import numpy as np
import pytest
from compiler.tflite_builder import OperatorSpec, TensorSpec, build_model, constant

from tinyedge.compiler.embedding import cut_at_embedding
from tinyedge.compiler.program import compile_graph
from tinyedge.errors import ModelError
from tinyedge.runtimes.aot import AotRuntime
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.tflite.reader import read_tflite

SHAPE, CHANNELS, CLASSES = (1, 5, 7, 3), 9, 4


def classifier(*after: str, fully_connected: bool = True, encoder: bool = False) -> bytes:
    """A convolution, a mean, and what follows; an encoder is the first two alone."""
    generator = np.random.default_rng(0)
    image = TensorSpec(SHAPE, 0.02, -7, name="image")
    kernel = constant(generator.integers(-127, 128, (CHANNELS, 3, 3, 3), np.int8), np.full(CHANNELS, 0.01))
    bias = constant(np.arange(CHANNELS, dtype=np.int32) * 100, np.full(CHANNELS, 0.0002))
    features = TensorSpec((1, 5, 7, CHANNELS), 0.05, -20, name="features")
    embedding = TensorSpec((1, CHANNELS), 0.02, 3, name="embedding")
    operators = [
        OperatorSpec("CONV_2D", [image, kernel, bias], features, {"padding": "SAME", "strideH": 1, "strideW": 1}),
        OperatorSpec("MEAN", [features, constant(np.array([1, 2], np.int32))], embedding, version=2),
    ]
    last = embedding
    if fully_connected and not encoder:
        weights = constant(generator.integers(-127, 128, (CLASSES, CHANNELS), np.int8), 0.01)
        logits = TensorSpec((1, CLASSES), 0.1, 5, name="logits")
        operators.append(
            OperatorSpec("FULLY_CONNECTED", [last, weights, constant(np.zeros(CLASSES, np.int32), 2e-4)], logits)
        )
        last = logits
    for op in () if encoder else after:
        if op == "RESHAPE":
            shape = (1, 1, last.shape[-1])
            output = TensorSpec(shape, last.scales, last.zero_points)
            operators.append(OperatorSpec(op, [last, constant(np.array(shape, np.int32))], output, {"newShape": shape}))
        else:
            output = TensorSpec(last.shape, 1 / 256, -128)
            operators.append(OperatorSpec(op, [last], output, {"beta": 1.0} if op == "SOFTMAX" else {}))
        last = output
    return build_model(operators, [image], [last])


def read(tmp_path: Path, model: bytes):
    (tmp_path / "m.tflite").write_bytes(model)
    return read_tflite(tmp_path / "m.tflite")


@pytest.mark.parametrize("after", [(), ("SOFTMAX",), ("RESHAPE",), ("RESHAPE", "SOFTMAX"), ("LOGISTIC", "RESHAPE")])
def test_what_is_left_of_a_classifier_is_its_encoder(tmp_path, after):
    graph = read(tmp_path, classifier(*after))
    assert cut_at_embedding(graph).name == "embedding"
    runtime = AotRuntime.from_program(compile_graph(graph))
    assert {call.op for call in runtime.program.calls} == {"CONV_2D", "MEAN"}
    (tmp_path / "encoder.tflite").write_bytes(classifier(encoder=True))
    images = np.random.default_rng(1).integers(-128, 128, (20, *SHAPE[1:]), np.int8)
    np.testing.assert_array_equal(runtime.run(images), TflmRuntime(tmp_path / "encoder.tflite").run(images))


@pytest.mark.parametrize("after", [(), ("SOFTMAX",)])
def test_an_encoder_stays_whole(tmp_path, after):
    graph = read(tmp_path, classifier(*after, fully_connected=False))
    output = graph.outputs[0]
    assert cut_at_embedding(graph) is output


def test_a_layer_that_reads_the_image_is_no_classifier(tmp_path):
    image, logits = TensorSpec((1, 6), 0.5, 3), TensorSpec((1, 2), 0.7, -5)
    weights, bias = constant(np.ones((2, 6), np.int8), 0.01), constant(np.zeros(2, np.int32), 0.005)
    graph = read(
        tmp_path, build_model([OperatorSpec("FULLY_CONNECTED", [image, weights, bias], logits)], [image], [logits])
    )
    assert cut_at_embedding(graph) is graph.outputs[0]
    assert graph.outputs[0].shape == (1, 2)


def test_an_embedding_of_16_bits_is_refused(tmp_path):
    graph = read(tmp_path, classifier(encoder=True))
    graph.outputs[0].dtype = np.dtype(np.int16)
    with pytest.raises(ModelError, match=r"'embedding' of m is int16 .* --precision int8"):
        cut_at_embedding(graph)
