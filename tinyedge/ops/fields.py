"""Reads the members of a kernel's struct."""

import numpy as np

from tinyedge.ops.kernel_call import ConstantArray, Fields


def integers(fields: Fields, *names: str) -> tuple[int, ...]:
    """Return members that are numbers."""
    found = tuple(fields[name] for name in names)
    assert all(isinstance(value, int) for value in found)
    return found  # type: ignore[return-value]


def values(fields: Fields, name: str) -> np.ndarray:
    """Return the values of a member that is an array."""
    array = fields[name]
    assert isinstance(array, ConstantArray)
    return array.values


def without(fields: Fields, *names: str) -> Fields:
    """Return all other members."""
    return {name: value for name, value in fields.items() if name not in names}
