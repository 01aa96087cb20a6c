"""How far apart two stages' values of the same images are."""

import math

import numpy as np

EXACT_DB = 120.0
"""The ratio of values without an error; float32 resolves little more."""


def sqnr_db(reference: np.ndarray, other: np.ndarray) -> float:
    """Return power of the reference over power of the difference, in decibels, at most `EXACT_DB`."""
    reference = _vector(reference)
    difference = reference - _vector(other)
    power, error = _product(reference, reference), _product(difference, difference)
    if error <= power * 10 ** (-EXACT_DB / 10):
        return EXACT_DB
    return 10 * math.log10(max(power, 1e-30) / error)  # Finite, so that it can be written as JSON.


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Return the cosine between two arrays as one vector each; of two zero vectors 1, of one 0."""
    a, b = _vector(a), _vector(b)
    norm = math.sqrt(_product(a, a)) * math.sqrt(_product(b, b))
    return _product(a, b) / norm if norm > 0 else float(np.array_equal(a, b))


def relative_difference(reference: np.ndarray, other: np.ndarray) -> float:
    """Return the largest difference over the reference's largest magnitude, or over 1 if that is greater."""
    return float(np.abs(reference - other).max()) / max(1.0, float(np.abs(reference).max()))


def neighbour_overlap(reference: np.ndarray, other: np.ndarray, neighbours: int) -> float:
    """Return the share of each row's nearest rows that both arrays agree on, the mean over the rows, in [0, 1].

    Args:
        reference: (n, D).
        other: (n, K), the same images in the same order.
        neighbours: How many nearest rows by cosine, the row itself left out; fewer than n.
    """
    first, second = (_nearest(values, neighbours) for values in (reference, other))
    return float(np.mean([np.isin(a, b).mean() for a, b in zip(first, second, strict=True)]))


def _nearest(values: np.ndarray, neighbours: int) -> np.ndarray:
    """Return (n, neighbours) indices of the nearest rows; of equally near rows the first."""
    values = values.astype(np.float64)
    values = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-30)
    similarity = values @ values.T  # (n, n)
    np.fill_diagonal(similarity, -np.inf)
    order: np.ndarray = np.argsort(-similarity, axis=1, kind="stable")[:, :neighbours]
    return order


def _vector(values: np.ndarray) -> np.ndarray:
    """Return the values as one vector of float64, which is not copied where it is one."""
    vector: np.ndarray = values.astype(np.float64, copy=False).ravel()
    return vector


def _product(a: np.ndarray, b: np.ndarray) -> float:
    """Return the inner product of two vectors, by one thread: several would wait for those of other computations."""
    return float(np.einsum("i,i", a, b))
