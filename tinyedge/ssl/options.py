"""Mappings (from YAML or the command line) to frozen dataclasses, with errors that name the key."""

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from types import MappingProxyType
from typing import Any, TypeVar

from tinyedge.errors import ConfigError

_MOST_CACHED_CELLS = 16

T = TypeVar("T")


def convert_values(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values` converted to the types of the fields of the dataclass `kind`.

    Raises:
        ConfigError: An unknown key (with the closest match) or a value of the wrong type.
    """
    annotations = {item.name: _annotation(item.type) for item in fields(kind)}  # type: ignore[arg-type]
    for key in values:
        if key not in annotations:
            raise ConfigError(unknown_name("key", str(key), annotations))
    return {key: _convert(key, value, annotations[key]) for key, value in values.items()}


def from_mapping(kind: type[T], values: Mapping[str, Any]) -> T:
    """Return a `kind` (a frozen dataclass) with `values` set and its defaults for the rest; see `convert_values`."""
    return kind(**convert_values(kind, values))


def unknown_name(what: str, value: str, known: Iterable[str]) -> str:
    """Say that `value` is unknown, and which known name is meant most likely."""
    names = list(known)
    close = difflib.get_close_matches(value, names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(names)}"
    return f"unknown {what} {value}; {hint}"


def check_options(
    options: object,
    *,
    positive: Sequence[str] = (),
    not_negative: Sequence[str] = (),
    at_least: Mapping[str, int] = MappingProxyType({}),
) -> None:
    """Check options by name; those that are None are left open.

    Raises:
        ConfigError: One of `positive` is not above 0, one of `not_negative` is below it or infinite, or one of
            `at_least` is below its least value.
    """
    for key in (*at_least, *positive, *not_negative):
        value = getattr(options, key)
        if value is None:
            continue
        if key in at_least:
            least = at_least[key]
            words, advice, holds = f"at least {least}", f"{least} or more", value >= least
        elif key in positive:
            words, advice, holds = "greater than 0", "a number above 0", value > 0
        else:
            words, advice, holds = "0 or more", "0 or a number above it", 0 <= value < math.inf
        if not holds:
            raise ConfigError(f"{key} is {value}, but has to be {words}; give {advice}")


def check_cached_grid(cells: int) -> None:
    """Refuse a grid of a cache of a teacher's maps that no memory holds for all images.

    Raises:
        ConfigError: `cells` a side are none or more than 16.
    """
    if not 1 <= cells <= _MOST_CACHED_CELLS:
        raise ConfigError(
            f"cached_grid is {cells}, but has to be from 1 to {_MOST_CACHED_CELLS} cells a side; give one such as 4"
        )


def _annotation(kind: Any) -> str:
    return kind.__name__ if kind in (str, int, float, bool) else str(kind).replace("collections.abc.", "")


def _convert(key: str, value: Any, annotation: str) -> Any:
    kinds = annotation.split(" | ")
    try:
        if value is None:
            if "None" in kinds:
                return None
            raise ValueError
        if kinds[0] == "bool":
            if not isinstance(value, bool):
                raise ValueError
            return value
        if kinds[0].startswith("tuple"):
            if isinstance(value, (str, bytes)):
                raise ValueError
            return tuple(_float(item) if "float" in kinds[0] else _integer(item) for item in value)
        if kinds[0].startswith("Mapping"):
            return dict(value)
        if kinds[0] == "float":
            return _float(value)
        if kinds[0] == "int":
            return value if "str" in kinds and value == "auto" else _integer(value)
        if not isinstance(value, str):
            raise ValueError
        return value
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigError(f"{key} is {value!r}, but takes {_in_words(kinds)}; correct it") from error


def _in_words(kinds: Sequence[str]) -> str:
    """What the types of a field allow, for people who do not read Python's annotations."""
    name = kinds[0].partition("[")[0]
    words = {
        "bool": "true or false",
        "int": "a whole number",
        "float": "a number",
        "str": "a text",
        "tuple": "numbers, such as [0.9, 0.95]" if "float" in kinds[0] else "whole numbers, such as [2, 1, 2, 2, 2]",
        "Mapping": "keys and values",
    }[name]
    return f"{words} or auto" if name == "int" and "str" in kinds else words


def _float(value: Any) -> float:
    if isinstance(value, bool):
        raise ValueError
    return float(value)


def _integer(value: Any) -> int:
    if isinstance(value, bool) or int(value) != float(value):
        raise ValueError
    return int(value)
