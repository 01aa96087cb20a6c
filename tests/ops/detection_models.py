"""Small models that end as TensorFlow's single-shot detectors do, and what they have to find, in plain NumPy."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from compiler.tflite_builder import OperatorSpec, TensorSpec, build_model, constant
from flatbuffers import flexbuffers

OPERATOR = "TFLite_Detection_PostProcess"
FLOAT = np.float32


@dataclass(frozen=True, eq=False)
class Detector:
    """Boxes and scores of int8, each behind a DEQUANTIZE, and the operator.

    Attributes:
        boxes: (runs, 1, anchors, 4 or more) int8.
        scores: (runs, 1, anchors, classes or one more) int8.
        anchors: (anchors, 4) y, x, h, w.
        options: Beside those of `OPTIONS`.
        box_quantisation: Scale and zero point.
        score_quantisation: The same.
    """

    boxes: np.ndarray
    scores: np.ndarray
    anchors: np.ndarray
    options: Mapping[str, Any] = field(default_factory=dict)
    box_quantisation: tuple[float, int] = (0.1, 3)
    score_quantisation: tuple[float, int] = (1 / 256, -128)

    @property
    def all_options(self) -> dict[str, Any]:
        """Those that TensorFlow's exporter writes."""
        return OPTIONS | {"num_classes": self.scores.shape[-1]} | dict(self.options)

    @property
    def rows(self) -> int:
        """Of the outputs."""
        return int(self.all_options["max_detections"] * self.all_options["max_classes_per_detection"])

    def model(self, content: bytes | None = None, **form: Any) -> bytes:
        """The .tflite file, with the options in the bytes given or its own; `form` as `detection_model` takes it."""
        boxes = TensorSpec(self.boxes.shape[1:], *self.box_quantisation)
        scores = TensorSpec(self.scores.shape[1:], *self.score_quantisation)
        return detection_model(
            [
                OperatorSpec("DEQUANTIZE", [tensor], real)
                for tensor, real in zip((boxes, scores), reals(self), strict=True)
            ],
            [boxes, scores],
            constant(self.anchors.astype(FLOAT)),
            self.rows,
            bytes(flexbuffers.Dumps(self.all_options)) if content is None else content,
            **form,
        )


OPTIONS = {
    "max_detections": 5,
    "max_classes_per_detection": 1,
    "nms_score_threshold": 0.3,
    "nms_iou_threshold": 0.5,
    "y_scale": 10.0,
    "x_scale": 10.0,
    "h_scale": 5.0,
    "w_scale": 5.0,
}


def reals(detector: Detector) -> list[TensorSpec]:
    """What the DEQUANTIZEs make."""
    return [TensorSpec(values.shape[1:], dtype=FLOAT) for values in (detector.boxes, detector.scores)]


def detection_model(
    before: Sequence[OperatorSpec],
    inputs: Sequence[TensorSpec],
    anchors: TensorSpec,
    rows: int,
    options: bytes,
    order: Sequence[int] = range(4),
    shapes: Sequence[tuple[int, ...]] | None = None,
) -> bytes:
    """A model of some operators, of which the last two make boxes and scores, and the operator.

    `order` says which outputs of the operator are outputs of the model; `shapes` are those of the operator's.
    """
    shapes = ((1, rows, 4), (1, rows), (1, rows), (1,)) if shapes is None else shapes
    first, *others = outputs = [TensorSpec(shape, dtype=FLOAT) for shape in shapes]
    made = [operator.output for operator in before[-2:]]
    last = OperatorSpec(OPERATOR, [*made, anchors], first, options, others=others)
    return build_model([*before, last], inputs, [outputs[at] for at in order])


def expected(detector: Detector) -> np.ndarray:
    """(runs, 6 * rows + 1) float32: boxes, classes, scores, how many; zeros behind them."""
    runs = zip(detector.boxes, detector.scores, strict=True)
    return np.stack([_expected(detector, boxes[0], scores[0]) for boxes, scores in runs])


def _expected(detector: Detector, box_codes: np.ndarray, score_codes: np.ndarray) -> np.ndarray:
    options = detector.all_options
    encoded = _reals(box_codes, detector.box_quantisation)
    boxes = [_decoded(options, *pair) for pair in zip(encoded, detector.anchors, strict=True)]
    columns = _reals(score_codes, detector.score_quantisation)
    scores = columns[:, columns.shape[1] - options["num_classes"] :]
    if options.get("use_regular_nms", False):
        found: list[tuple[FLOAT, int, int]] = []
        for category in range(options["num_classes"]):
            kept = _suppressed(boxes, scores[:, category], options)[: options.get("detections_per_class", 100)]
            found += [(scores[anchor, category], category, anchor) for anchor in kept]
        found.sort(key=lambda entry: -entry[0])  # Stable: of equal scores the first class, of that the first anchor.
    else:
        best = scores.max(axis=1)
        found = [(best[anchor], int(scores[anchor].argmax()), anchor) for anchor in _suppressed(boxes, best, options)]
    found = found[: options["max_detections"]]
    record = np.zeros(6 * detector.rows + 1, FLOAT)
    parts = np.split(record[:-1], [4 * detector.rows, 5 * detector.rows])
    for row, (score, category, anchor) in enumerate(found):
        parts[0][4 * row : 4 * row + 4], parts[1][row], parts[2][row] = boxes[anchor], category, score
    record[-1] = len(found)
    return record


def _reals(codes: np.ndarray, quantisation: tuple[float, int]) -> np.ndarray:
    return FLOAT(quantisation[0]) * (codes.astype(np.int32) - quantisation[1]).astype(FLOAT)


def _decoded(options: Mapping[str, Any], code: np.ndarray, anchor: np.ndarray) -> list[FLOAT]:
    y, x, h, w = (float(code[at]) / float(FLOAT(options[f"{name}_scale"])) for at, name in enumerate("yxhw"))
    place_y, place_x, height, width = (float(FLOAT(value)) for value in anchor)
    centre = FLOAT(y * height + place_y), FLOAT(x * width + place_x)
    half = FLOAT(0.5 * math.exp(h) * height), FLOAT(0.5 * math.exp(w) * width)
    return [centre[0] - half[0], centre[1] - half[1], centre[0] + half[0], centre[1] + half[1]]


def _suppressed(boxes: Sequence[Sequence[FLOAT]], scores: np.ndarray, options: Mapping[str, Any]) -> list[int]:
    """The anchors that are left, the largest score first."""
    order = [anchor for anchor in range(len(boxes)) if scores[anchor] >= FLOAT(options["nms_score_threshold"])]
    order.sort(key=lambda anchor: -scores[anchor])
    kept: list[int] = []
    for anchor in order:
        if all(_overlap(boxes[other], boxes[anchor]) <= FLOAT(options["nms_iou_threshold"]) for other in kept):
            kept.append(anchor)
    return kept


def _overlap(a: Sequence[FLOAT], b: Sequence[FLOAT]) -> FLOAT:
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    if min(areas) <= 0:
        return FLOAT(0)
    sides = [max(min(a[axis + 2], b[axis + 2]) - max(a[axis], b[axis]), FLOAT(0)) for axis in (0, 1)]
    both = sides[0] * sides[1]
    return both / (areas[0] + areas[1] - both)
