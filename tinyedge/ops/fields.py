"""Reads the members of a kernel's struct."""

from typing import TypeVar

import numpy as np

from tinyedge.ops.kernel_call import ConstantArray, Fields

Kind = TypeVar("Kind")


def integers(fields: Fields, *names: str) -> tuple[int, ...]:
    """Return members that are numbers."""
    return tuple(_member(fields, name, int) for name in names)


def values(fields: Fields, name: str) -> np.ndarray:
    """Return the values of a member that is an array."""
    return _member(fields, name, ConstantArray).values


def numbers(fields: Fields, name: str) -> tuple[int, ...]:
    """Return a member that is an array inside the struct."""
    found: tuple[int, ...] = _member(fields, name, tuple)
    return found


def without(fields: Fields, *names: str) -> Fields:
    """Return all other members."""
    return {name: value for name, value in fields.items() if name not in names}


def _member(fields: Fields, name: str, kind: type[Kind]) -> Kind:
    value = fields[name]
    if not isinstance(value, kind):
        raise TypeError(f"the member '{name}' is a {type(value).__name__} and no {kind.__name__}")
    return value
