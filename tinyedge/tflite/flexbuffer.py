"""The options of custom operators: a flexbuffer, one map of names and numbers."""

from collections.abc import Collection
from typing import Any

from flatbuffers import flexbuffers

Number = bool | int | float


def numbers(content: bytes, names: Collection[str]) -> dict[str, Number]:
    """Return the numbers of a map; what it has beside them is not looked at.

    Args:
        content: Of a stranger.
        names: Of the numbers.

    Returns:
        Those that it has.

    Raises:
        ValueError: It is no map, or damaged, or holds something else under a name; the message says which.
    """
    try:
        root = flexbuffers.GetRoot(content)
        found: dict[str, object] | None = {name: _number(root.AsMap, name) for name in names} if root.IsMap else None
    except Exception as error:  # A damaged flexbuffer can make its accessors raise anything.
        raise ValueError(f"a flexbuffer that is damaged ({type(error).__name__} while reading)") from error
    if found is None:
        raise ValueError("a flexbuffer that is no map")
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
