"""TFLite_Detection_PostProcess, the custom operator at the end of TensorFlow's single-shot detectors.

Boxes are decoded from anchors, and those that another one of a higher score covers are left out (non-maximum
suppression). "Fast", each anchor has its best class alone; "regular", each class is suppressed by itself.

The kernel reads codes. What it needs of their reals is worked out here in double precision, for each of the 256 codes:
a device has no exponential that equals this machine's. Scores are compared as codes, which are in the order of their
reals.
"""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from tinyedge.errors import UnsupportedOpError
from tinyedge.ops.descriptor import OperatorDescriptor
from tinyedge.ops.kernel_call import ConstantArray, Kernel, KernelCall
from tinyedge.ops.rules import int8_activation, tensor_input, unsupported
from tinyedge.tflite.detection import (
    BOX_NUMBERS,
    CUSTOM_OPTIONS,
    DETECTION_POSTPROCESS,
    MAX_INTEGER,
    READS_CODES,
    output_shapes,
)
from tinyedge.tflite.fixed_point import INT8_MAX, INT8_MIN
from tinyedge.tflite.flexbuffer import Number, numbers
from tinyedge.tflite.graph import Operator, Tensor

_KERNEL = Kernel("te_detection_postprocess_s8", "te_detection_postprocess_params")
_FLOAT = np.dtype(np.float32)
_CODES = np.arange(INT8_MIN, INT8_MAX + 1)
_ROW_NUMBERS = BOX_NUMBERS + 2  # With a class and a score.
# Corners within it have areas and sums of areas within float32.
_MAX_CORNER = 2.0**30
_INTEGERS = ("max_detections", "max_classes_per_detection", "detections_per_class", "num_classes")
_SCALES = ("y_scale", "x_scale", "h_scale", "w_scale")
_REALS = ("nms_score_threshold", "nms_iou_threshold", *_SCALES)
_REGULAR = "use_regular_nms"
_DETECTIONS_PER_CLASS = 100


@dataclass(frozen=True)
class _Settings:
    """The operator's options; those that a file lacks are 0, as in TFLite Micro.

    Attributes:
        max_detections: How many it finds at most.
        rows: Of its outputs.
        class_detections: How many of each class, where each class is suppressed by itself; 0 where anchors are.
        classes: How many there are, without the background.
        score_threshold: Scores below it count as nothing.
        iou_threshold: Of the intersection over the union above which a box covers another.
        scales: Of y, x, h and w of boxes.
    """

    max_detections: int
    rows: int
    class_detections: int
    classes: int
    score_threshold: np.float32
    iou_threshold: np.float32
    scales: tuple[np.float32, ...]


def _separate(operator: Operator) -> list[Operator]:
    """The operator with one output, a record of which its four outputs are parts."""
    settings = _settings(operator)
    if not operator.options.get(READS_CODES, False):
        first = tensor_input(operator, 0, "boxes")
        raise unsupported(operator, first, f"is {first.dtype}", "boxes and scores that DEQUANTIZE makes of int8")
    shapes = output_shapes(settings.rows)
    if len(operator.outputs) != len(shapes):
        raise _refusal(operator, f"is one of {len(operator.outputs)} outputs", "four: boxes, classes, scores, how many")
    for output, shape in zip(operator.outputs, shapes, strict=True):
        if output.dtype != _FLOAT or output.shape != shape or output.is_constant:
            raise unsupported(
                operator,
                output,
                f"is {output.dtype} {list(output.shape)}",
                f"float32 {list(shape)}, as its options say",
            )
    name = operator.outputs[0].name
    record = Tensor(name, (_ROW_NUMBERS * settings.rows + 1,), _FLOAT)
    begin = 0
    for output in operator.outputs:
        output.base, output.base_offset = record, begin
        begin += output.bytes
    return [dataclasses.replace(operator, outputs=(record,), options={"settings": settings})]


def _lower(operator: Operator) -> KernelCall:
    """Lower what `_separate` makes; of another form that says what is wrong with it."""
    settings = operator.options.get("settings")
    if not isinstance(settings, _Settings):
        (apart,) = _separate(operator)
        return _lower(apart)
    boxes, scores = int8_activation(operator, 0, "boxes"), int8_activation(operator, 1, "scores")
    if len(boxes.shape) != 3 or boxes.shape[0] != 1 or boxes.shape[1] < 1 or boxes.shape[2] < BOX_NUMBERS:
        raise unsupported(operator, boxes, f"has shape {list(boxes.shape)}", "boxes (1, anchors, 4 or more)")
    anchor_count = boxes.shape[1]
    columns = scores.shape[-1] if scores.shape else 0
    if scores.shape != (1, anchor_count, columns) or columns - settings.classes not in (0, 1):
        raise unsupported(
            operator,
            scores,
            f"has shape {list(scores.shape)}",
            f"scores (1, {anchor_count}, {settings.classes}), or of the background before them as well",
        )
    anchors = _anchors(operator, anchor_count)
    tables = _tables(operator, boxes, settings, anchors)
    fast = settings.class_detections == 0
    return KernelCall(
        kernel=_KERNEL,
        fields={
            "anchor_count": anchor_count,
            "box_numbers": boxes.shape[2],
            "classes": settings.classes,
            "score_columns": columns,
            "max_detections": settings.max_detections,
            "rows": settings.rows,
            "class_detections": settings.class_detections,
            "least_code": _least_code(scores, settings.score_threshold),
            "score_zero_point": scores.q.zero_point,
            "score_scale": scores.q.scale,
            "iou_threshold": float(settings.iou_threshold),
            "anchors": ConstantArray(anchors),
            **{name: ConstantArray(table) for name, table in zip(("y", "x", "half_h", "half_w"), tables, strict=True)},
        },
        inputs=(boxes, scores),
        output=operator.output,
        op=operator.op,
        name=operator.output.name,
        scratch_bytes=anchor_count if fast and settings.classes > 1 else 0,
    )


def _settings(operator: Operator) -> _Settings:
    content = operator.options.get(CUSTOM_OPTIONS, b"")
    try:
        found = numbers(content, (*_INTEGERS, *_REALS, _REGULAR))
    except ValueError as error:
        raise _refusal(operator, f"has for options {error}", "the map that TensorFlow's exporter writes") from None
    regular = found.get(_REGULAR, False)
    if isinstance(regular, float):
        raise _refusal(operator, f"has {_REGULAR} {regular}", "true or false")
    per_class = _integer(operator, found, "detections_per_class", _DETECTIONS_PER_CLASS) if regular else 0
    most = _integer(operator, found, "max_detections")
    classes_each = _integer(operator, found, "max_classes_per_detection")
    if classes_each > 1 and not regular:
        # TFLite Micro writes behind its outputs then, and LiteRT elsewhere.
        raise _refusal(
            operator,
            f"has max_classes_per_detection {classes_each}",
            f"1, on which TFLite Micro and LiteRT agree; or {_REGULAR}, which has no use for it",
        )
    if most * classes_each > MAX_INTEGER:
        raise _refusal(operator, f"has {most} times {classes_each} rows of results", f"up to {MAX_INTEGER}")
    iou_threshold = _real(operator, found, "nms_iou_threshold")
    if not 0 < iou_threshold <= 1:
        raise _refusal(operator, f"has nms_iou_threshold {iou_threshold:g}", "one above 0, and 1 at most")
    return _Settings(
        max_detections=most,
        rows=most * classes_each,
        class_detections=per_class,
        classes=_integer(operator, found, "num_classes"),
        score_threshold=_real(operator, found, "nms_score_threshold"),
        iou_threshold=iou_threshold,
        scales=tuple(_scale(operator, found, name) for name in _SCALES),
    )


def _integer(operator: Operator, found: dict[str, Number], name: str, default: int = 0) -> int:
    value = found.get(name, default)
    if isinstance(value, float) or not 1 <= value <= MAX_INTEGER:
        raise _refusal(operator, f"has {name} {value}", f"integers from 1 to {MAX_INTEGER}")
    return int(value)


def _real(operator: Operator, found: dict[str, Number], name: str) -> np.float32:
    value = found.get(name, 0.0)
    try:
        with np.errstate(over="ignore"):
            real = np.float32(value)
    except OverflowError:  # An integer beyond a double.
        real = np.float32(np.inf)
    if not np.isfinite(real):
        raise _refusal(operator, f"has {name} {value}", "numbers of float32")
    return real


def _scale(operator: Operator, found: dict[str, Number], name: str) -> np.float32:
    value = _real(operator, found, name)
    if value == 0:
        raise _refusal(operator, f"has {name} 0", "scales to divide by")
    return value


def _refusal(operator: Operator, problem: str, supported: str) -> UnsupportedOpError:
    return unsupported(operator, operator.outputs[0], problem, supported)


def _anchors(operator: Operator, anchor_count: int) -> np.ndarray:
    """The constant anchors, (anchor_count, 4): y, x, h and w of each."""
    tensor = tensor_input(operator, 2, "anchors")
    if tensor.data is None or tensor.dtype != _FLOAT or tensor.shape != (anchor_count, BOX_NUMBERS):
        kind = "constant" if tensor.is_constant else "computed"
        raise unsupported(
            operator,
            tensor,
            f"holds {kind} {tensor.dtype} anchors of shape {list(tensor.shape)}",
            f"constant anchors ({anchor_count}, {BOX_NUMBERS}) of float32, or of int8 or uint8 behind a DEQUANTIZE",
        )
    if not np.all(np.isfinite(tensor.data)) or np.any(tensor.data[:, 2:] < 0):
        raise unsupported(
            operator,
            tensor,
            "has an anchor of negative height or width, or of no number",
            "heights and widths from 0 on",
        )
    return tensor.data


def _tables(operator: Operator, boxes: Tensor, settings: _Settings, anchors: np.ndarray) -> tuple[np.ndarray, ...]:
    """What is read by the codes of y, x, h and w: offsets in heights and widths of an anchor, and halves of sizes."""
    reals = boxes.q.reals(_CODES).astype(np.float64)
    with np.errstate(all="ignore"):
        y, x, h, w = (reals / np.float64(scale) for scale in settings.scales)
    tables = y, x, _half_exponentials(h), _half_exponentials(w)
    furthest = 0.0
    for offsets, halves, axis in ((y, tables[2], 0), (x, tables[3], 1)):
        reach = np.abs(offsets).max() + halves.max() if np.all(np.isfinite([offsets, halves])) else math.inf
        with np.errstate(all="ignore"):
            corners = np.abs(anchors[:, axis].astype(np.float64)) + reach * anchors[:, axis + 2].astype(np.float64)
        furthest = max(furthest, float(np.nan_to_num(corners, nan=math.inf, posinf=math.inf).max()))
    if furthest > _MAX_CORNER:
        raise unsupported(
            operator,
            boxes,
            f"has codes that mean corners at {furthest:g}",
            f"scales of boxes for corners up to {_MAX_CORNER:g}",
        )
    return tables


def _half_exponentials(values: np.ndarray) -> np.ndarray:
    """Halves of the exponentials of the standard library, as both interpreters have them."""
    return np.array([_half_exponential(float(value)) for value in values])


def _half_exponential(value: float) -> float:
    try:
        return 0.5 * math.exp(value)
    except OverflowError:
        return math.inf


def _least_code(scores: Tensor, threshold: np.float32) -> int:
    """The least code of which the real is not below a threshold; one beyond all where there is none."""
    enough = np.flatnonzero(scores.q.reals(_CODES) >= threshold)
    return INT8_MIN + int(enough[0]) if enough.size else INT8_MAX + 1


OPERATORS = (
    OperatorDescriptor(
        name=DETECTION_POSTPROCESS,
        inputs=(3, 3),
        outputs=(1, 4),
        lower=_lower,
        separate=_separate,
    ),
)
