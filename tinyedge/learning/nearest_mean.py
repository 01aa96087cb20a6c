"""The nearest class mean as the firmware computes it, on this machine: what a device is held against.

It follows the formula of `firmware/app/te_classes.h` in Python's own integers, which have no width to overflow.
"""

from math import isqrt

import numpy as np

DISTANCE_ONE = 1 << 24
"""The distance of two vectors at a right angle: a distance is 1 - cosine in units of 2^-24."""

_NORM_BITS = 62


class NearestMean:
    """Classes as sums of int8 embeddings.

    Args:
        classes: How many.
        zero_point: Of the embedding, [-128, 127].
    """

    def __init__(self, classes: int, zero_point: int) -> None:
        self._zero_point = zero_point
        self._examples: list[list[np.ndarray]] = [[] for _ in range(classes)]

    def enroll(self, which: int, embedding: np.ndarray) -> None:
        """Add an example, (D,) int8, to a class."""
        self._examples[which].append(self._centred(embedding))

    def classify(self, embedding: np.ndarray) -> tuple[int, int]:
        """Return the nearest class, the lowest of several, and its distance.

        Args:
            embedding: (D,) int8. At least one class has an example.
        """
        vector = self._centred(embedding)
        distances = {
            which: _distance(vector, np.sum(examples, axis=0))
            for which, examples in enumerate(self._examples)
            if examples
        }
        nearest = min(distances, key=lambda which: (distances[which], which))
        return nearest, distances[nearest]

    def _centred(self, embedding: np.ndarray) -> np.ndarray:
        centred: np.ndarray = embedding.reshape(-1).astype(np.int64) - self._zero_point
        return centred


def _distance(vector: np.ndarray, total: np.ndarray) -> int:
    product = int(vector @ total)
    squares = int(vector @ vector), int(total @ total)
    if 0 in squares:
        return DISTANCE_ONE
    shifts = [(_NORM_BITS - square.bit_length()) // 2 for square in squares]
    roots = [isqrt(square << 2 * shift) for square, shift in zip(squares, shifts, strict=True)]
    scaled = abs(product) << sum(shifts)
    cosine = scaled // ((roots[0] * roots[1]) // DISTANCE_ONE)
    return max(0, DISTANCE_ONE - (cosine if product >= 0 else -cosine))
