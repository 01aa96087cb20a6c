import numpy as np
import pytest

from tinyedge.evaluation.average_precision import Detections, Objects, box_iou, mean_average_precision


def _iou(a, b) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def _naive(detections, objects, num_classes, threshold) -> tuple[float, float]:
    """The devkit's procedure, object by object, then every recall by itself."""
    areas, elevens = [], []
    for label in range(num_classes):
        positives = sum(
            1 for o in objects for c, hard in zip(o.labels, o.difficult, strict=True) if c == label and not hard
        )
        if positives == 0:
            continue
        ranked = sorted(
            (
                (-score, image, row)
                for image, found in enumerate(detections)
                for row, (score, c) in enumerate(zip(found.scores, found.labels, strict=True))
                if c == label
            ),
        )
        taken, points, right, wrong = set(), [], 0, 0
        for _, image, row in ranked:
            best, overlap = None, -1.0
            for index, (box, c) in enumerate(zip(objects[image].boxes, objects[image].labels, strict=True)):
                if c == label and _iou(detections[image].boxes[row], box) > overlap:
                    best, overlap = index, _iou(detections[image].boxes[row], box)
            if best is not None and overlap >= threshold:
                if objects[image].difficult[best]:
                    continue
                if (image, best) in taken:
                    wrong += 1
                else:
                    taken.add((image, best))
                    right += 1
            else:
                wrong += 1
            points.append((right, right / (right + wrong)))
        at_recall = [max((p for r, p in points if r >= level), default=0.0) for level in range(1, positives + 1)]
        areas.append(sum(at_recall) / positives)
        elevens.append(sum(max((p for r, p in points if 10 * r >= t * positives), default=0.0) for t in range(11)) / 11)
    return (float(np.mean(areas)), float(np.mean(elevens))) if areas else (0.0, 0.0)


def _boxes(random, count: int) -> np.ndarray:
    corner = random.uniform(0, 60, (count, 2))
    return np.concatenate([corner, corner + random.uniform(5, 40, (count, 2))], axis=1)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("threshold", [0.3, 0.5])
def test_against_the_naive_procedure(seed: int, threshold: float) -> None:
    random = np.random.default_rng(seed)
    detections, objects = [], []
    for _ in range(13):
        count = int(random.integers(0, 5))
        truth = Objects(_boxes(random, count), random.integers(0, 3, count), random.random(count) < 0.2)
        # Shifted copies of the objects, some of them twice, and boxes of nothing.
        copies = np.repeat(np.arange(count), random.integers(0, 3, count))
        boxes = np.concatenate([truth.boxes[copies] + random.normal(0, 3, (len(copies), 4)), _boxes(random, 3)])
        labels = np.concatenate([truth.labels[copies], random.integers(0, 4, 3)])
        objects.append(truth)
        detections.append(Detections(boxes, labels, random.random(len(boxes))))
    ours = mean_average_precision(detections, objects, 4, threshold)
    assert (ours.area, ours.eleven_point) == pytest.approx(_naive(detections, objects, 4, threshold), abs=1e-12)
    assert 0 < ours.area < 1


def test_known_cases() -> None:
    box = np.array([[0.0, 0.0, 10.0, 10.0]])
    truth = Objects(np.concatenate([box, box + 20]), np.array([0, 0]), np.array([False, False]))
    perfect = Detections(truth.boxes, truth.labels, np.array([0.9, 0.8]))
    assert mean_average_precision([perfect], [truth], 1).area == 1
    assert mean_average_precision([perfect], [truth], 1).eleven_point == 1
    half = Detections(box, np.array([0]), np.array([0.1]))
    assert mean_average_precision([half], [truth], 1).area == 0.5
    assert mean_average_precision([half], [truth], 1).eleven_point == pytest.approx(6 / 11)
    twice = Detections(np.repeat(box, 2, axis=0), np.array([0, 0]), np.array([0.9, 0.8]))
    assert mean_average_precision([twice], [truth], 1).area == 0.5
    nothing = Detections(np.empty((0, 4)), np.empty(0, dtype=int), np.empty(0))
    assert mean_average_precision([nothing], [truth], 3).area == 0
    hard = Objects(truth.boxes, truth.labels, np.array([False, True]))
    assert mean_average_precision([perfect], [hard], 1).area == 1
    assert mean_average_precision([], [], 2).area == 0


def test_iou_of_empty_and_touching_boxes() -> None:
    first = np.array([[0, 0, 2, 2], [1, 1, 1, 1]], dtype=float)
    second = np.array([[2, 0, 4, 2], [0, 0, 1, 2], [1, 1, 1, 1]], dtype=float)
    np.testing.assert_allclose(box_iou(first, second), [[0, 0.5, 0], [0, 0, 0]])
