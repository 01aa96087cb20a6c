"""The end of TensorFlow's single-shot detectors: TFLite Micro's bits, LiteRT's, and those of plain NumPy."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compiler.tflite_builder import OperatorSpec, TensorSpec, constant
from flatbuffers import flexbuffers
from ops.detection_models import FLOAT, OPERATOR, OPTIONS, Detector, detection_model, expected, reals
from ops.kernel_cases import Case, assert_bit_exact

from tinyedge.checks.layers import describe_layers, planned_bytes
from tinyedge.compiler.options import CompileOptions
from tinyedge.compiler.passes import PASS_NAMES
from tinyedge.compiler.program import compile_graph
from tinyedge.errors import ModelError
from tinyedge.runtimes.aot import AotRuntime
from tinyedge.runtimes.litert import LitertRuntime
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.tflite.detection import set_output_shapes
from tinyedge.tflite.frames import count_differing, random_frames
from tinyedge.tflite.model import Model
from tinyedge.tflite.reader import parse_tflite, read_tflite
from tinyedge.tflite.writer import tflite_bytes

RUNS = 3
_RECORD = 2  # Of the model's operators, the first two are DEQUANTIZE.


def detector(
    seed: int,
    anchors: int = 37,
    columns: int = 4,
    numbers: int = 4,
    spread: int = 40,
    levels: int = 256,
    **options: Any,
) -> Detector:
    """Random boxes around random anchors; scores of so many levels, of which many are equal where these are few."""
    rng = np.random.default_rng(seed)
    boxes = rng.integers(-spread, spread + 1, (RUNS, 1, anchors, numbers)).clip(-128, 127).astype(np.int8)
    scores = rng.integers(0, levels, (RUNS, 1, anchors, columns)) * (256 // levels) - 128
    places = np.concatenate([rng.random((anchors, 2)), rng.random((anchors, 2)) * 0.4 + 0.1], 1)
    return Detector(boxes, scores.astype(np.int8), places.astype(FLOAT), options)


REGULAR = {"use_regular_nms": True}
DETECTORS = {
    "fast": detector(0),
    "fast, behind a background": detector(1, num_classes=3),
    "fast, one class": detector(2, columns=1),
    "fast, one class behind a background": detector(3, columns=2, num_classes=1, max_detections=7),
    "fast, equal scores": detector(4, levels=4, max_detections=20),
    "fast, seven numbers a box": detector(5, numbers=7, spread=128),
    "fast, extreme codes": dataclasses.replace(
        detector(6), boxes=np.where(detector(6).boxes > 0, np.int8(127), np.int8(-128)), box_quantisation=(0.04, -128)
    ),
    "fast, nothing enough": detector(7, nms_score_threshold=1.5),
    "fast, everything enough": detector(8, nms_score_threshold=0.0, nms_iou_threshold=1.0, max_detections=40),
    "fast, below every score": detector(9, nms_score_threshold=-1.0, nms_iou_threshold=0.01),
    "fast, boxes alike": dataclasses.replace(detector(10, spread=0), anchors=np.full((37, 4), 0.25, FLOAT)),
    "fast, one anchor": detector(11, anchors=1, max_detections=3),
    "fast, odd scales": detector(12, y_scale=3.7, x_scale=11.3, h_scale=0.9, w_scale=-2.1),
    "regular": detector(20, **REGULAR),
    "regular, behind a background": detector(21, num_classes=3, **REGULAR),
    "regular, one class": detector(22, columns=1, **REGULAR),
    "regular, equal scores": detector(23, levels=4, max_detections=9, **REGULAR),
    "regular, few of a class": detector(24, detections_per_class=2, max_detections=11, **REGULAR),
    "regular, nothing enough": detector(25, nms_score_threshold=1.5, **REGULAR),
    "regular, everything enough": detector(26, nms_score_threshold=0.0, nms_iou_threshold=1.0, **REGULAR),
    "regular, boxes alike": dataclasses.replace(
        detector(27, spread=0, **REGULAR), anchors=np.full((37, 4), 0.25, FLOAT)
    ),
    "regular, more rows than detections": detector(28, max_classes_per_detection=3, **REGULAR),
}


def case(label: str, found: Detector) -> Case:
    return Case(label, found.model(), [found.boxes, found.scores], _RECORD, lambda _: expected(found))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "detector.tflite"


@pytest.mark.parametrize("label", DETECTORS)
def test_the_interpreters_find_the_same(label: str, path: Path) -> None:
    found = DETECTORS[label]
    path.write_bytes(found.model())
    wanted = expected(found)
    frames = random_frames(read_tflite(path).inputs, RUNS, 0)
    frames[frames.dtype.names[0]], frames[frames.dtype.names[1]] = found.boxes[:, 0], found.scores[:, 0]
    # LiteRT's partial sort of regular suppression leaves open which of equal scores comes first.
    runtimes = [TflmRuntime] if label == "regular, equal scores" else [TflmRuntime, LitertRuntime]
    for runtime in runtimes:
        outputs = runtime(path).run(frames)
        record = np.concatenate([outputs[name].reshape(RUNS, -1) for name in outputs.dtype.names], axis=1)
        assert record.tobytes() == wanted.tobytes(), runtime.name


def test_the_kernel_finds_the_same(check: Callable[[list[Case]], None]) -> None:
    check([case(label, found) for label, found in DETECTORS.items()])
    counts = np.concatenate([expected(found)[:, -1] for found in DETECTORS.values()])
    assert 0 in counts
    assert np.median(counts) >= 4


def test_the_kernel_stays_within_its_memory(check_sanitised: Callable[[list[Case]], None]) -> None:
    check_sanitised([case(label, found) for label, found in DETECTORS.items()][::3])


def test_a_core_of_single_precision_finds_the_same(board_kernels: Callable[[str], Any], tmp_path: Path) -> None:
    """A Cortex-M4 joins products and sums of float32 to one instruction, and has no double."""
    cases = [case(label, DETECTORS[label]) for label in ("fast, equal scores", "regular, behind a background")]
    assert_bit_exact(cases, [board_kernels("mps2_an386")], tmp_path)


def whole_model(dtype: type = np.int8) -> bytes:
    """As converters write it: scores are rescaled before they become floats, and anchors are quantised."""
    found = detector(30, columns=3, num_classes=2, nms_score_threshold=0.5)
    boxes, scores = TensorSpec((1, 37, 4), 0.1, 3), TensorSpec((1, 37, 3), 1 / 256, -128)
    rescaled, codes = TensorSpec((1, 37, 3), 1 / 128, 0), TensorSpec((37, 4), dtype=FLOAT)
    info = np.iinfo(dtype)
    quantised = (found.anchors * 200 + info.min).clip(info.min, info.max).astype(dtype)
    real_boxes, real_scores = reals(found)
    before = [
        OperatorSpec("DEQUANTIZE", [constant(quantised, 0.005, info.min)], codes, version=2),
        OperatorSpec("QUANTIZE", [scores], rescaled),
        OperatorSpec("DEQUANTIZE", [boxes], real_boxes, version=2),
        OperatorSpec("DEQUANTIZE", [rescaled], real_scores, version=2),
    ]
    return detection_model(before, [boxes, scores], codes, found.rows, bytes(flexbuffers.Dumps(found.all_options)))


@pytest.mark.parametrize(("dtype", "without"), [(np.int8, ()), (np.uint8, PASS_NAMES)])
def test_a_whole_model_has_no_floats_but_its_outputs(dtype: type, without: tuple[str, ...], path: Path) -> None:
    path.write_bytes(whole_model(dtype))
    aot = AotRuntime(path, CompileOptions(without=without))
    frames = random_frames(aot.program.inputs, 40, 0)
    outputs = aot.run(frames)
    for golden in (TflmRuntime(path), LitertRuntime(path)):
        assert count_differing(outputs, golden.run(frames)) == 0
    assert outputs[outputs.dtype.names[3]].min() > 0
    if not without:
        assert [call.op for call in aot.program.calls] == ["QUANTIZE", OPERATOR]
        floats = [tensor.bytes for tensor in aot.program.plan.offsets if tensor.dtype == FLOAT]
        assert max(floats) == 4 * (6 * 5 + 1)


@pytest.mark.parametrize(
    ("order", "shapes"),
    [
        pytest.param((2, 0, 3, 1), ((), (), (), ()), id="scalars, as TensorFlow 2 writes"),
        pytest.param((0, 1, 2, 3), ((1, 0, 4), (1, 0), (1, 0), (1,)), id="sizes of 0"),
        pytest.param((0, 3, 1, 0, 3), None, id="outputs twice"),
    ],
)
def test_other_forms_of_outputs_hold_the_same(
    order: tuple[int, ...], shapes: tuple[tuple[int, ...], ...] | None, path: Path
) -> None:
    found = detector(31, nms_score_threshold=0.98, nms_iou_threshold=0.2)
    path.write_bytes(found.model(order=order, shapes=shapes))
    aot = AotRuntime(path)
    frames = random_frames(aot.program.inputs, RUNS, 0)
    frames[frames.dtype.names[0]], frames[frames.dtype.names[1]] = found.boxes[:, 0], found.scores[:, 0]
    outputs = aot.run(frames)
    wanted = np.split(expected(found), [4 * found.rows, 5 * found.rows, 6 * found.rows], axis=1)
    assert 0 < wanted[3].max() < found.rows
    for name, at in zip(outputs.dtype.names, order, strict=True):
        assert outputs[name].reshape(RUNS, -1).tobytes() == wanted[at].tobytes()
    for golden in (TflmRuntime(path), LitertRuntime(path)):
        assert count_differing(outputs, golden.run(frames)) == 0


def test_its_layer_has_the_memory_of_all_outputs(path: Path) -> None:
    path.write_bytes(whole_model())
    graph = read_tflite(path)
    outputs = [operator.outputs[0] for operator in graph.operators]
    removed, rescaled, *others, detections = planned_bytes(outputs, compile_graph(graph))
    assert [removed, *others] == [None, None, None]
    assert rescaled is not None
    assert detections == 37 * (4 + 3) + 4 * (6 * 5 + 1) + 37


def test_its_anchors_count_as_parameters_for_all_who_count(path: Path) -> None:
    path.write_bytes(whole_model())
    graph = read_tflite(path)
    in_the_file = sum(layer.parameters for layer in describe_layers(graph))
    assert compile_graph(graph).parameters == in_the_file >= 4 * graph.operators[-1].inputs[2].shape[0]


def test_a_detector_that_was_read_can_be_written(path: Path) -> None:
    content = whole_model()
    graph = parse_tflite(path, content).any_graph()
    path.write_bytes(tflite_bytes(graph))
    again = read_tflite(path)
    assert again.operators[-1].options == graph.operators[-1].options
    frames = random_frames(graph.inputs, 4, 0)
    written = TflmRuntime(path).run(frames)
    path.write_bytes(content)
    assert count_differing(written, TflmRuntime(path).run(frames)) == 0


def complaint(content: bytes, path: Path) -> str:
    path.write_bytes(content)
    with pytest.raises(ModelError) as raised:
        compile_graph(Model(path).graph())
    message = str(raised.value)
    assert OPERATOR in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_detections": 0}, "max_detections 0"),
        ({"max_detections": -1}, "max_detections -1"),
        ({"max_detections": 2**31}, "max_detections 2147483648"),
        ({"max_detections": 2.5}, "max_detections 2.5"),
        ({"max_detections": "many"}, "'max_detections' is no number"),
        ({"max_detections": None}, "max_detections 0"),
        ({"use_regular_nms": 0.5}, "use_regular_nms 0.5"),  # The interpreters cut it to 0.
        ({"note": "x" * 2**16}, "a flexbuffer of 65"),
        ({"max_detections": 2**20, "max_classes_per_detection": 2**20, "use_regular_nms": True}, "rows of results"),
        ({"max_classes_per_detection": 2}, "max_classes_per_detection 2"),
        ({"detections_per_class": 0, "use_regular_nms": True}, "detections_per_class 0"),
        ({"num_classes": 0}, "num_classes 0"),
        ({"num_classes": 2}, r"scores (1, 37, 2)"),
        ({"num_classes": 5}, r"scores (1, 37, 5)"),
        ({"nms_iou_threshold": 0.0}, "nms_iou_threshold 0"),
        ({"nms_iou_threshold": 1.01}, "nms_iou_threshold 1.01"),
        ({"nms_score_threshold": float("nan")}, "nms_score_threshold nan"),
        ({"nms_score_threshold": float("inf")}, "nms_score_threshold inf"),
        ({"y_scale": 0.0}, "y_scale 0"),
        ({"h_scale": 0.001}, "corners at inf"),
        ({"w_scale": 0.5}, "corners at"),
    ],
)
def test_options_without_a_meaning_are_refused(options: dict[str, Any], said: str, path: Path) -> None:
    found = detector(40)
    assert said in complaint(found.model(bytes(flexbuffers.Dumps(found.all_options | options))), path)


def test_damaged_options_are_refused(path: Path) -> None:
    found = detector(41)
    whole = bytes(flexbuffers.Dumps(found.all_options))
    assert "damaged" in complaint(found.model(b""), path)
    assert "no map" in complaint(found.model(bytes(flexbuffers.Dumps([1, 2]))), path)
    # Of two keys of a name, interpreters take another one than Python's binary search.
    assert "out of order" in complaint(found.model(whole.replace(b"x_scale", b"y_scale")), path)
    assert "out of order" in complaint(found.model(whole.replace(b"max_d", b"zax_d")), path)
    content, rng = found.model(), np.random.default_rng(0)
    sentences = []
    for _ in range(100):
        options = bytearray(whole[: rng.integers(0, len(whole))] if rng.random() < 0.3 else whole)
        for at in rng.integers(0, max(len(options), 1), rng.integers(1, 4)):
            options[at : at + 1] = [rng.integers(0, 256)]
        graph = parse_tflite(path, content).any_graph()
        graph.operators[-1].options["custom_options"] = bytes(options)
        try:
            compile_graph(graph)
        except ModelError as error:
            sentences.append(str(error))
    assert 30 < len(sentences) < 100
    assert "\n" not in "".join(sentences)


def behind(source: TensorSpec, real: TensorSpec) -> OperatorSpec:
    return OperatorSpec("DEQUANTIZE", [source], real, version=2)


def test_other_types_and_shapes_are_refused(path: Path) -> None:
    found = detector(42)
    boxes, scores = TensorSpec((1, 37, 4), 0.1, 3), TensorSpec((1, 37, 4), 1 / 256, -128)
    real_boxes, real_scores = reals(found)
    anchors, options = constant(found.anchors), bytes(flexbuffers.Dumps(found.all_options))

    def said(
        boxes: TensorSpec = boxes,
        scores: TensorSpec = scores,
        anchors: TensorSpec = anchors,
        rows: int = 5,
        inputs: tuple[TensorSpec, ...] = (),
    ) -> str:
        before = [behind(source, TensorSpec(source.shape, dtype=FLOAT)) for source in (boxes, scores)]
        return complaint(detection_model(before, [boxes, scores, *inputs], anchors, rows, options), path)

    wide = TensorSpec((1, 37, 4), 0.001, 0, np.int16)
    assert "which no DEQUANTIZE makes of int8" in said(boxes=wide)
    assert "which no DEQUANTIZE makes of int8" in said(scores=dataclasses.replace(wide))
    old = TensorSpec((1, 37, 4), 0.1, 128, np.uint8)
    assert "which no DEQUANTIZE makes of int8" in said(boxes=old)
    codes = [dataclasses.replace(scores) for _ in range(2)]
    direct = detection_model([OperatorSpec("RELU", [boxes], made) for made in codes], [boxes], anchors, 5, options)
    assert "boxes and scores that DEQUANTIZE makes of int8" in complaint(direct, path)
    computed = [behind(boxes, real_boxes), OperatorSpec("EXP", [real_boxes], real_scores)]
    mixed = detection_model(computed, [boxes], anchors, 5, options)
    assert "which no DEQUANTIZE makes of int8" in complaint(mixed, path)
    assert "boxes (1, anchors, 4 or more)" in said(boxes=TensorSpec((2, 37, 4), 0.1, 3))
    assert "boxes (1, anchors, 4 or more)" in said(boxes=TensorSpec((1, 37, 3), 0.1, 3))
    assert "scores (1, 37, 4)" in said(scores=TensorSpec((1, 36, 4), 0.1, 3))
    assert "scores (1, 37, 4)" in said(scores=TensorSpec((37, 4), 0.1, 3))
    given = TensorSpec((37, 4), dtype=FLOAT)
    assert "computed float32 anchors" in said(anchors=given, inputs=(given,))
    assert "anchors (37, 4)" in said(anchors=constant(found.anchors[:36]))
    assert "negative height" in said(anchors=constant(-found.anchors))
    assert "of no number" in said(anchors=constant(np.full((37, 4), np.nan, FLOAT)))
    assert "float32 [1, 5, 4], as its options say" in said(rows=6)
    scalars = found.model(bytes(flexbuffers.Dumps(found.all_options | {"max_detections": 2.5})), shapes=((),) * 4)
    assert "max_detections 2.5" in complaint(scalars, path)
    scalars = parse_tflite(path, found.model(shapes=((),) * 4)).any_graph().operators[-1]
    written = [dataclasses.replace(output, shape=(), data=np.zeros((), FLOAT)) for output in scalars.outputs]
    set_output_shapes(dataclasses.replace(scalars, outputs=tuple(written)))
    assert [output.shape for output in written] == [()] * 4
    assert "corners at" in said(boxes=TensorSpec((1, 37, 4), 3.0, 3))


def test_options_that_are_left_out_have_the_interpreters_defaults(path: Path) -> None:
    found = detector(43)
    content = {name: value for name, value in found.all_options.items() if name != "nms_score_threshold"}
    path.write_bytes(found.model(bytes(flexbuffers.Dumps(content | {"_output_quantized": True, "note": "x"}))))
    (call,) = compile_graph(read_tflite(path)).calls
    assert call.fields["least_code"] == -128
    assert call.fields["class_detections"] == 0
    assert OPTIONS["nms_score_threshold"] > 0
