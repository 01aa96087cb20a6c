"""Old uint8 models over int8: the same reals, against LiteRT's kernels of both kinds."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from compiler.tflite_builder import OperatorSpec, TensorSpec, build_model, constant, one_operator
from flatbuffers import flexbuffers
from ops.detection_models import OPTIONS, detection_model
from quantisation.uint8_models import (
    WEIGHT_ZERO_POINT,
    activation,
    bias,
    uint8_network,
    weights,
)

from tinyedge.conversion.tflite_source import read_float_tflite
from tinyedge.errors import ModelError, UnsupportedOpError
from tinyedge.exporter.requantise_model import requantise_model
from tinyedge.quantisation.uint8 import Int8Graph, int8_of_uint8
from tinyedge.runtimes.aot import AotRuntime
from tinyedge.runtimes.litert import LitertRuntime
from tinyedge.runtimes.litert_session import REFERENCE, LitertSession
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.tflite.frames import count_differing, parts_of, random_frames
from tinyedge.tflite.full_int8 import is_uint8
from tinyedge.tflite.graph import Graph, Tensor
from tinyedge.tflite.reader import read_any_tflite, read_tflite
from tinyedge.tflite.writer import tflite_bytes

WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def graph_of(content: bytes, folder: Path) -> Graph:
    path = folder / "old.tflite"
    path.write_bytes(content)
    return read_any_tflite(path)


def reals(tensor: Tensor) -> np.ndarray:
    shape = [1] * tensor.values.ndim
    shape[tensor.q.axis] = -1
    zero_points, scales = (one.reshape(shape) for one in (tensor.q.zero_points, tensor.q.scales.astype(np.float64)))
    return (tensor.values.astype(np.float64) - zero_points) * scales


def outputs(old: bytes, made: Int8Graph, count: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """The codes of both, as uint8, for the same random inputs."""
    (image,) = made.graph.inputs
    inputs = np.random.default_rng(1).integers(0, 256, (count, *image.shape[1:]), dtype=np.uint8)
    before = LitertSession(old, REFERENCE).run(inputs)
    after = LitertSession(tflite_bytes(made.graph), REFERENCE).run((inputs ^ 128).view(np.int8))
    return before, after.view(np.uint8) ^ 128


SHAPE = (1, 9, 7, 3)
SINGLE = {
    "CONV_2D": (
        lambda g: [weights(g, (4, 3, 3, 3)), bias(g, 4)],
        (1, 5, 4, 4),
        {"padding": "SAME", "strideH": 2, "strideW": 2},
    ),
    "DEPTHWISE_CONV_2D": (
        lambda g: [weights(g, (1, 3, 2, 6)), bias(g, 6)],
        (1, 7, 6, 6),
        {"padding": "VALID", "strideH": 1, "strideW": 1, "depthMultiplier": 2},
    ),
    "FULLY_CONNECTED": (lambda g: [weights(g, (5, 189)), None], (1, 5), {}),
    "MUL": (lambda g: [constant(g.integers(0, 256, (1, 1, 1, 3), dtype=np.uint8), 0.01, 200)], SHAPE, {}),
    "ADD": (lambda g: [constant(g.integers(0, 256, (1, 1, 1, 3), dtype=np.uint8), 0.01, 200)], SHAPE, {}),
    "AVERAGE_POOL_2D": (
        lambda _: [],
        (1, 3, 3, 3),
        {"padding": "VALID", "strideH": 3, "strideW": 2, "filterHeight": 3, "filterWidth": 3},
    ),
    "PAD": (lambda _: [constant(np.array([[0, 0], [1, 2], [0, 1], [0, 0]], np.int32))], (1, 12, 8, 3), {}),
}


@pytest.mark.parametrize("op", SINGLE)
def test_an_operator_whose_weights_lie_within_int8_gives_the_same_codes(op: str, tmp_path: Path) -> None:
    generator = np.random.default_rng(2)
    others, shape, options = SINGLE[op]
    source = activation(SHAPE, 1 / 64, 99)
    target = activation(shape, 1 / 64, 99) if op in ("PAD", "AVERAGE_POOL_2D") else activation(shape, 0.03, 77)
    old = one_operator(op, [source, *others(generator)], target, **options)
    made = int8_of_uint8(graph_of(old, tmp_path))
    assert made.rescaled_channels == 0
    before, after = outputs(old, made)
    assert len(np.unique(before)) > 40
    assert np.array_equal(before, after)


WINDOW = {"padding": "VALID", "strideH": 2, "strideW": 2, "filterHeight": 2, "filterWidth": 2}
BETWEEN_SCALES = {
    "MAX_POOL_2D": ([], (1, 4, 3, 3), {**WINDOW, "fusedActivationFunction": "RELU6"}),
    "AVERAGE_POOL_2D": ([], (1, 4, 3, 3), WINDOW),
    "RESHAPE": ([constant(np.array([1, 189], np.int32))], (1, 189), {}),
    "MAXIMUM": ([constant(np.full(1, 90, np.uint8), 0.01, 5)], SHAPE, {}),
    "TRANSPOSE": ([constant(np.array([0, 2, 1, 3], np.int32))], (1, 7, 9, 3), {}),
}


@pytest.mark.parametrize("op", BETWEEN_SCALES)
def test_codes_are_copied_between_scales_where_kernels_of_uint8_did(op: str, tmp_path: Path) -> None:
    others, shape, options = BETWEEN_SCALES[op]
    image, first, second, last = (
        activation(SHAPE, 0.05, 100),
        activation(SHAPE, 0.02, 100),
        activation(shape, 0.03, 80),
        activation(shape, 0.04, 90),
    )
    factor = constant(np.array([230], np.uint8), 0.01, 100)
    operators = [
        OperatorSpec("MUL", [image, factor], first),
        OperatorSpec(op, [first, *others], second, options),
        OperatorSpec("MUL", [second, factor], last),
    ]
    old = build_model(operators, [image], [last])
    made = int8_of_uint8(graph_of(old, tmp_path))
    before, after = outputs(old, made)
    assert len(np.unique(before)) > 40
    apart = np.abs(before.astype(int) - after).max()
    assert apart <= (2 if op == "AVERAGE_POOL_2D" else 0)  # Halves of negative codes are rounded the other way.
    path = tmp_path / "new.tflite"
    path.write_bytes(tflite_bytes(made.graph))
    inputs = np.random.default_rng(3).integers(-128, 128, (8, *SHAPE[1:]), dtype=np.int8)
    assert np.array_equal(AotRuntime(path).run(inputs), TflmRuntime(path).run(inputs))


@pytest.mark.parametrize("beyond", [0, 1])
def test_a_network_stays_near_and_is_tflite_micros_bit_for_bit(beyond: int, tmp_path: Path) -> None:
    whole = graph_of(uint8_network(beyond=beyond), tmp_path)
    assert is_uint8(whole)
    made = int8_of_uint8(whole)
    assert (made.channels, made.rescaled_channels) == (21, 4 * beyond)
    assert made.coarsest == pytest.approx(131 / 127 if beyond else 1.0)
    apart = {}
    for count, operator in enumerate(whole.operators[:-1], 1):
        part = dataclasses.replace(whole, operators=whole.operators[:count], outputs=operator.outputs)
        before, after = outputs(tflite_bytes(part), int8_of_uint8(part))
        assert len(np.unique(before)) > 10
        apart[operator.op] = int(np.abs(before.astype(int) - after).max())
    assert apart["CONV_2D"] == apart["MAX_POOL_2D"] == beyond  # Of rounded weights.
    assert apart["CONCATENATION"] <= 1 + beyond  # Kernels of uint8 rescale in float.
    assert apart["FULLY_CONNECTED"] <= 1 + beyond
    path = tmp_path / "new.tflite"
    path.write_bytes(tflite_bytes(made.graph))
    inputs = np.random.default_rng(3).integers(-128, 128, (8, 9, 7, 3), dtype=np.int8)
    assert np.array_equal(AotRuntime(path).run(inputs), TflmRuntime(path).run(inputs))


def test_every_weight_is_within_half_a_step_of_its_scale(tmp_path: Path) -> None:
    graph = graph_of(uint8_network(beyond=2), tmp_path)
    layers = [
        [operator for operator in one.operators if operator.op in WEIGHTED]
        for one in (graph, int8_of_uint8(graph).graph)
    ]
    assert len(layers[0]) == 4
    for old, new in zip(*layers, strict=True):
        weight, axis = new.input(1), 3 if new.op == "DEPTHWISE_CONV_2D" else 0
        assert (weight.dtype, weight.q.axis) == (np.int8, axis)
        assert weight.values.min() >= -127
        apart = np.moveaxis(np.abs(reals(weight) - reals(old.input(1))), axis, 0).reshape(len(weight.q.scales), -1)
        same = weight.q.scales == old.input(1).q.scales
        assert 0 < (~same).sum() < len(same)
        assert apart[same].max() < 1e-9
        assert (apart <= 0.5001 * weight.q.scales[:, np.newaxis]).all()
        steps = old.input(0).q.scale * weight.q.scales.astype(np.float64)
        assert np.abs(new.input(2).values * steps - old.input(2).values * old.input(0).q.scale * 0.004).max() < max(
            steps
        )


def test_a_softmax_of_another_scale_writes_what_its_kernel_has(tmp_path: Path) -> None:
    old = one_operator("SOFTMAX", [activation((1, 5), 0.1, 30)], activation((1, 5), 1 / 200, 3), beta=1.0)
    made = int8_of_uint8(graph_of(old, tmp_path)).graph
    assert [operator.op for operator in made.operators] == ["SOFTMAX", "QUANTIZE"]
    assert made.operators[0].output.q.scale == 1 / 256
    assert (made.outputs[0].q.scale, made.outputs[0].q.zero_point) == (pytest.approx(1 / 200), -125)
    path = tmp_path / "new.tflite"
    path.write_bytes(tflite_bytes(made))
    assert read_tflite(path).outputs[0].dtype == np.int8


def _softmax_of_images() -> bytes:
    image, real = activation((1, 4), 0.1, 3), TensorSpec((1, 4), dtype=np.float32)
    other = TensorSpec((1, 4), dtype=np.float32)
    operators = [OperatorSpec("DEQUANTIZE", [image], real), OperatorSpec("SOFTMAX", [real], other, {"beta": 1.0})]
    return build_model(operators, [image], [other])


def _resized_images() -> bytes:
    image, large = activation((1, 4, 4, 3), 1 / 255, 0), activation((1, 8, 8, 3), 1 / 255, 0)
    real, maps = TensorSpec((1, 8, 8, 3), dtype=np.float32), TensorSpec((1, 8, 8, 2), dtype=np.float32)
    weight, offset = constant(np.ones((2, 1, 1, 3), np.float32)), constant(np.ones(2, np.float32))
    operators = [
        OperatorSpec("RESIZE_BILINEAR", [image, constant(np.array([8, 8], np.int32))], large),
        OperatorSpec("DEQUANTIZE", [large], real),
        OperatorSpec("CONV_2D", [real, weight, offset], maps, {"padding": "SAME", "strideH": 1, "strideW": 1}),
    ]
    return build_model(operators, [image], [maps])


@pytest.mark.parametrize("model", [_softmax_of_images, _resized_images])
def test_a_float_model_of_uint8_images_is_none(model, tmp_path: Path) -> None:
    content = model()
    assert not is_uint8(graph_of(content, tmp_path))
    with pytest.raises(ModelError, match=r"is uint8, and quantisation takes float32 inputs$"):
        read_float_tflite(tmp_path / "old.tflite")


def test_a_uint8_model_with_a_float_function_at_its_end_is_one(tmp_path: Path) -> None:
    image, scores = activation((1, 4), 0.1, 3), activation((1, 3), 0.1, 3)
    reals, probabilities = (TensorSpec((1, 3), dtype=np.float32) for _ in range(2))
    operators = [
        OperatorSpec("FULLY_CONNECTED", [image, weights(np.random.default_rng(0), (3, 4)), None], scores),
        OperatorSpec("DEQUANTIZE", [scores], reals),
        OperatorSpec("SOFTMAX", [reals], probabilities, {"beta": 1.0}),
    ]
    assert is_uint8(graph_of(build_model(operators, [image], [probabilities]), tmp_path))


def test_a_detector_finds_the_same(tmp_path: Path) -> None:
    """Boxes, scores and anchors of uint8 it reads itself, which no other kernel does: all of them become floats."""
    g = np.random.default_rng(5)
    flat = [activation((1, 120), 0.07, 121), activation((1, 90), 1 / 256, 0)]
    shaped = [activation((1, 30, 4), 0.07, 121), activation((1, 30, 3), 1 / 256, 0)]
    anchors = constant(g.integers(20, 256, (30, 4), dtype=np.uint8), 0.004, 3)
    before = [
        OperatorSpec("RESHAPE", [source, constant(np.array(made.shape, np.int32))], made)
        for source, made in zip(flat, shaped, strict=True)
    ]
    options = bytes(flexbuffers.Dumps({**OPTIONS, "num_classes": 2}))
    content = detection_model(before, flat, anchors, OPTIONS["max_detections"], options)
    graph = graph_of(content, tmp_path)
    assert is_uint8(graph)
    made, path = tmp_path / "made.tflite", tmp_path / "old.tflite"
    report = requantise_model(path, made)
    assert report.distance is not None
    assert (report.distance.differing, report.distance.largest_steps) == (0, 0)
    frames = random_frames(graph.inputs, 30, 0)
    wanted = LitertRuntime(path).run(frames)
    recoded = random_frames(read_tflite(made).inputs, 30, 0)
    for old, new in zip(parts_of(frames), parts_of(recoded), strict=True):
        new[...] = (old ^ 128).view(np.int8)
    for runtime in (LitertRuntime, TflmRuntime, AotRuntime):
        assert count_differing(runtime(made).run(recoded), wanted) == 0, runtime.name
    assert parts_of(wanted)[3].min() > 1


def _several_scales() -> bytes:
    one = constant(np.full((3, 4), WEIGHT_ZERO_POINT, np.uint8), [0.1, 0.2, 0.3], [131, 131, 131])
    return one_operator("FULLY_CONNECTED", [activation((1, 4), 0.1, 3), one, None], activation((1, 3), 0.1, 3))


def _computed_weights() -> bytes:
    inputs = [activation((1, 4), 0.1, 3), activation((3, 4), 0.1, 3), None]
    return one_operator("FULLY_CONNECTED", inputs, activation((1, 3), 0.1, 3))


def _unknown() -> bytes:
    return one_operator(
        "LOCAL_RESPONSE_NORMALIZATION", [activation((1, 2, 2, 4), 1, 0)], activation((1, 2, 2, 4), 1, 0)
    )


def _codes_as_numbers() -> bytes:
    image, scores, numbers = activation((1, 4), 0.1, 3), activation((1, 4), 0.1, 3), TensorSpec((1, 4), dtype=np.int32)
    operators = [
        OperatorSpec("RELU", [image], scores),
        OperatorSpec("CAST", [scores], numbers, {"inDataType": "UINT8", "outDataType": "INT32"}),
    ]
    return build_model(operators, [image], [numbers])


def _no_scale() -> bytes:
    return one_operator("SOFTMAX", [TensorSpec((1, 4), dtype=np.uint8)], activation((1, 4), 1 / 256, 0), beta=1.0)


@pytest.mark.parametrize(
    ("model", "error", "said"),
    [
        (_several_scales, ModelError, "has 3 scales: models of uint8 have one a tensor"),
        (_computed_weights, ModelError, r"operator 0 \(FULLY_CONNECTED\) has computed weights"),
        (_unknown, UnsupportedOpError, r"operator 0 \(LOCAL_RESPONSE_NORMALIZATION\)"),
        (_codes_as_numbers, UnsupportedOpError, r"operator 1 \(CAST\) takes codes for numbers"),
        (_no_scale, ModelError, "has no scale and zero point"),
    ],
)
def test_what_int8_has_not_is_refused(model, error, said, tmp_path: Path) -> None:
    graph = graph_of(model(), tmp_path)
    with pytest.raises(error, match=said):
        int8_of_uint8(graph)
