"""Mean average precision of detections, as PASCAL VOC measures it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

IOU_THRESHOLD = 0.5


@dataclass(frozen=True)
class Detections:
    """What a detector found in one image.

    Attributes:
        boxes: (N, 4) float: left, top, right, bottom.
        labels: (N,) int class.
        scores: (N,) float, higher is surer.
    """

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class Objects:
    """What is in one image.

    Attributes:
        boxes: (N, 4) float: left, top, right, bottom.
        labels: (N,) int class.
        difficult: (N,) bool: neither finding nor missing such an object counts.
    """

    boxes: np.ndarray
    labels: np.ndarray
    difficult: np.ndarray


@dataclass(frozen=True)
class AveragePrecision:
    """Precision averaged over recall, in two ways, each the mean over the classes that have objects.

    Attributes:
        area: The area under the precision that no higher recall exceeds (VOC from 2010 on), in [0, 1].
        eleven_point: The mean of that precision at recalls 0, 0.1, ... 1 (VOC 2007), in [0, 1].
    """

    area: float
    eleven_point: float


def mean_average_precision(
    detections: Sequence[Detections], objects: Sequence[Objects], num_classes: int, iou_threshold: float = IOU_THRESHOLD
) -> AveragePrecision:
    """Return the mean average precision over classes (Everingham et al., 2010, "The PASCAL VOC challenge", 4.2).

    In the order of their scores, a detection is right if the object of its class in its image that it overlaps most
    has an IoU of at least the threshold and has not been found before. A detection of a difficult object counts not.

    Args:
        detections: One an image.
        objects: One an image, in the same order.
        num_classes: C; labels are in [0, C).
        iou_threshold: Least intersection over union.
    """
    pairs = [_one_class(detections, objects, label, iou_threshold) for label in range(num_classes)]
    measured = [pair for pair in pairs if pair is not None]
    if not measured:
        return AveragePrecision(0.0, 0.0)
    area, eleven_point = np.mean(measured, axis=0)
    return AveragePrecision(float(area), float(eleven_point))


def _one_class(
    detections: Sequence[Detections], objects: Sequence[Objects], label: int, iou_threshold: float
) -> tuple[float, float] | None:
    positives = sum(int(((image.labels == label) & ~image.difficult).sum()) for image in objects)
    if positives == 0:
        return None
    scores: list[np.ndarray] = []
    right: list[np.ndarray] = []
    for found, present in zip(detections, objects, strict=True):
        of_class = found.labels == label
        order = np.argsort(-found.scores[of_class], kind="stable")
        verdict = _match(found.boxes[of_class][order], present, label, iou_threshold)
        counted = verdict >= 0
        scores.append(found.scores[of_class][order][counted])
        right.append(verdict[counted])
    hits = np.concatenate(right)[np.argsort(-np.concatenate(scores), kind="stable")]
    if len(hits) == 0:
        return 0.0, 0.0
    recall = np.cumsum(hits) / positives
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    area = float(np.sum(np.diff(recall, prepend=0.0) * envelope))
    # The first detection at each recall, or none: a recall of 0.3 is not missed for the last bit of 3 / 10.
    first = np.searchsorted(recall, np.arange(11) / 10 - 1e-12)
    eleven_point = float(np.append(envelope, 0.0)[first].mean())
    return area, eleven_point


def _match(boxes: np.ndarray, present: Objects, label: int, iou_threshold: float) -> np.ndarray:
    """Judge boxes (N, 4), surest first: 1 right, 0 wrong, -1 not counted."""
    of_class = present.labels == label
    truths, difficult = present.boxes[of_class], present.difficult[of_class]
    verdict = np.zeros(len(boxes), dtype=np.int64)
    if len(truths) == 0:
        return verdict
    overlap = box_iou(boxes, truths)
    found = np.zeros(len(truths), dtype=bool)
    for index, best in enumerate(overlap.argmax(1)):
        if overlap[index, best] < iou_threshold:
            continue
        if difficult[best]:
            verdict[index] = -1
        elif not found[best]:
            found[best] = True
            verdict[index] = 1
    return verdict


def box_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the intersection over union (N, M) of boxes (N, 4) and (M, 4): left, top, right, bottom."""
    corner = np.maximum(first[:, None, :2], second[None, :, :2])
    size = np.clip(np.minimum(first[:, None, 2:], second[None, :, 2:]) - corner, 0, None)
    intersection = size.prod(2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None] - intersection
    return np.where(union > 0, intersection / np.maximum(union, 1e-12), 0.0)
