"""Reads what a device answers: lines of bounded length, numbers of bounded size, and nothing that a terminal obeys.

Whatever is at the other end of a port may answer: a board with other firmware, a modem, a broken cable.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any, TypeVar

from tinyedge.errors import TargetError

MOST_LINE_BYTES = 64 << 20
"""The longest line: an output that fills an emulated board's RAM, in decimals."""

MOST_LINES = 100_000
"""The longest answer."""

MOST_LAYERS = 100_000
MOST_BYTES = 2**32
MOST_COUNT = 2**64 - 1

SHOWN = 200
"""Characters of an answer in a message."""

_TYPES = frozenset({"bool", "float32", "int8", "int16", "int32", "int64", "uint8"})
_MOST_DIMENSIONS = 8
_MOST_CLOCK_HZ = 10**10
_WHOLE = re.compile(r"[0-9]{1,20}", re.ASCII)
_DECIMAL = re.compile(r"[0-9]{1,20}(\.[0-9]{1,9})?", re.ASCII)
_REAL = re.compile(r"-?([0-9]{1,40}(\.[0-9]{1,9})?|inf|nan)", re.ASCII)
_HEXADECIMAL = re.compile(r"[0-9A-Fa-f]{1,8}", re.ASCII)

_Parsed = TypeVar("_Parsed")


@dataclass(frozen=True)
class TensorInfo:
    """One of the model's inputs or outputs: real = scale * (value - zero_point), where the scale is not 0.

    Attributes:
        type: NumPy's name of the type of its values.
        shape: The batch of 1 included.
        scale: 0 where the values are no quantised reals.
        zero_point: 0 there.
    """

    type: str
    shape: tuple[int, ...]
    scale: float
    zero_point: int


@dataclass(frozen=True)
class DeviceInfo:
    """What a device says of itself and its model.

    Attributes:
        name: The model's.
        version: Of the tinyedge that built the firmware.
        board: As in `--board`.
        cpu: GCC's name of the core.
        runtime: "aot" or "tflm".
        instruction_set: Of the kernels, one of `tinyedge.compiler.kernels.INSTRUCTION_SETS`.
        sha256: The first 16 hex digits of the model file's hash.
        inputs: The model's inputs.
        outputs: The model's outputs.
        db_bytes: How many bytes `load` has to send.
        layers: How many layers `layers` tells of.
        arena_bytes: RAM of the runtime.
        state_bytes: RAM beside it that lasts from one inference to the next.
        stack_bytes: The reserved stack.
        stack_used_bytes: The most of it that was in use since the start.
        clock_hz: The processor's clock as it runs.
        clock: Where that clock comes from.
        count_unit: "cycles" on silicon, "ticks" in an emulator.
        classes: How many it can learn; 0 for an image that learns none.
        store: Where it saves them, for people.
        uid: The part's unique number, eight hex digits a word of it; "" where it has none.
    """

    name: str
    version: str
    board: str
    cpu: str
    runtime: str
    instruction_set: str
    sha256: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    db_bytes: int
    layers: int
    arena_bytes: int
    state_bytes: int
    stack_bytes: int
    stack_used_bytes: int
    clock_hz: int
    clock: str
    count_unit: str
    classes: int = 0
    store: str = ""
    uid: str = ""


# Of the numbers of `DeviceInfo`: from the first to the last that makes sense.
_RANGES = {
    **dict.fromkeys(("db_bytes", "arena_bytes", "state_bytes", "stack_bytes", "stack_used_bytes"), (0, MOST_BYTES)),
    "layers": (0, MOST_LAYERS),
    "clock_hz": (1, _MOST_CLOCK_HZ),
    "classes": (0, 65_535),
}


def printable(line: bytes) -> str:
    """A line as text, without what moves a cursor or colours a terminal."""
    text = line.decode("ascii", errors="replace").strip("\r")
    return (
        text
        if text.isprintable()
        else "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    )


def shown(answer: object) -> str:
    """An answer as a message shows it."""
    text = repr(answer)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text):,} characters)"


def within_brackets(line: str, prefix: str, command: str, parse: Callable[[str], _Parsed]) -> _Parsed:
    """Return what stands between the brackets of `prefix-[...]`, parsed.

    Args:
        line: The whole line.
        prefix: Before the bracket.
        command: What was asked, for the message.
        parse: Raises ValueError for what it does not take.

    Raises:
        TargetError: The line is another one.
    """
    try:
        if not line.startswith(f"{prefix}-[") or not line.endswith("]"):
            raise ValueError
        return parse(line[len(prefix) + 2 : -1])
    except ValueError as error:
        raise other_firmware(command, line) from error


def other_firmware(command: str, answer: object) -> TargetError:
    """The error for an answer that this version of the firmware does not give."""
    return TargetError(f"the device answers `{command}` with {shown(answer)}: build and flash the firmware again")


def whole_number(text: str, most: int = MOST_COUNT) -> int:
    """Parse a number from 0 to `most`; raise ValueError for anything else."""
    if not _WHOLE.fullmatch(text) or int(text) > most:
        raise ValueError(text[:SHOWN])
    return int(text)


def whole_numbers(text: str, count: int | None = None) -> list[int]:
    """Parse numbers with commas between them, `count` of them if that is given; raise ValueError for anything else."""
    numbers = [whole_number(part) for part in text.split(",")]
    if count is not None and len(numbers) != count:
        raise ValueError(text[:SHOWN])
    return numbers


def decimal(text: str) -> Fraction:
    """Parse a count with a fraction, such as "17.250"; raise ValueError for anything else."""
    if not _DECIMAL.fullmatch(text):
        raise ValueError(text[:SHOWN])
    return Fraction(text)


def reals(text: str) -> list[float]:
    """Parse reals with commas between them, such as "-0.500,1.250"; raise ValueError for anything else."""
    parts = text.split(",")
    if not all(map(_REAL.fullmatch, parts)):
        raise ValueError(text[:SHOWN])
    return [float(part) for part in parts]


def checksums(text: str) -> tuple[int, int]:
    """Parse two CRC-32 in hexadecimal digits; raise ValueError for anything else."""
    first, second = text.split(",")
    if not _HEXADECIMAL.fullmatch(first) or not _HEXADECIMAL.fullmatch(second):
        raise ValueError(text[:SHOWN])
    return int(first, 16), int(second, 16)


def device_info(lines: list[str]) -> DeviceInfo:
    """Parse the answer to `te info`.

    Raises:
        TargetError: It is none, or a number in it makes no sense.
    """
    try:
        (line,) = lines
        given = json.loads(line)
        return DeviceInfo(**{key: _info_value(key, value) for key, value in given.items()})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise other_firmware("te info", lines) from error


def _info_value(key: str, value: Any) -> Any:
    if key in ("inputs", "outputs"):
        return tuple(_tensor(tensor) for tensor in value)
    if key in _RANGES:
        return _ranged(value, *_RANGES[key])
    if key not in _FIELDS or not isinstance(value, str):
        raise ValueError(key)
    return value


def _tensor(given: Mapping[str, Any]) -> TensorInfo:
    shape = tuple(_ranged(size, 1, MOST_BYTES) for size in given["shape"])
    scale = given["scale"]
    if len(shape) > _MOST_DIMENSIONS or given["type"] not in _TYPES or isinstance(scale, bool):
        raise ValueError(given["type"])
    if not isinstance(scale, int | float) or not 0 <= scale < math.inf:
        raise ValueError("scale")
    return TensorInfo(given["type"], shape, float(scale), _ranged(given["zero_point"], -(2**15), 2**15 - 1))


def _ranged(value: Any, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError("out of range")
    return value


_FIELDS = frozenset(field.name for field in fields(DeviceInfo))
