"""The options of custom operators: a flexbuffer, one map of names and numbers."""

import itertools
from collections.abc import Collection
from typing import Any

from flatbuffers import flexbuffers

Number = bool | int | float
# A hundred times what TensorFlow's exporter writes; each key that is read takes as long as the buffer is.
_MAX_BYTES = 2**16


def numbers(content: bytes, names: Collection[str]) -> dict[str, Number]:
    """Return the numbers of a map; what it has beside them is not looked at.

    Args:
        content: Of a stranger.
        names: Of the numbers.

    Returns:
        Those that it has.

    Raises:
        ValueError: It is no map, too long or damaged, or holds something else under a name; the message says which.
    """
    if len(content) > _MAX_BYTES:
        raise ValueError(f"a flexbuffer of {len(content)} bytes")
    keys: list[bytes] = []
    try:
        root = flexbuffers.GetRoot(content)
        found: dict[str, object] | None = {name: _number(root.AsMap, name) for name in names} if root.IsMap else None
        if found is not None:
            keys = [key.AsKeyBytes for key in root.AsMap.Keys]
    except Exception as error:  # A damaged flexbuffer can make its accessors raise anything.
        raise ValueError(f"a flexbuffer that is damaged ({type(error).__name__} while reading)") from error
    if found is None:
        raise ValueError("a flexbuffer that is no map")
    # Of others, what is found depends on where a binary search begins.
    if any(key >= after for key, after in itertools.pairwise(keys)):
        raise ValueError("a flexbuffer whose keys are out of order")
    present: dict[str, Number] = {}
    for name, number in found.items():
        if isinstance(number, Number):
            present[name] = number
        elif number is not None:
            raise ValueError(f"a flexbuffer in which '{name}' is no number")
    return present


def _number(entries: Any, name: str) -> object:
    """A number, None where there is none, or what is there in its place."""
    try:
        entry = entries[name]
    except KeyError as error:
        if error.args == (name,):
            return None
        raise
    if entry.IsNull:
        return None
    if entry.IsBool:
        return bool(entry.AsBool)
    if entry.IsInt:
        return int(entry.AsInt)
    return float(entry.AsFloat) if entry.IsFloat else entry
