"""Reads what an ELF file puts into a board's memories, and where its variables are (System V ABI, chapters 4 and 5)."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tinyedge.errors import TargetError

_HEADER = struct.Struct("<16sHHIIIIIHHHHHH")
_PROGRAM_HEADER = struct.Struct("<8I")
_SECTION_HEADER = struct.Struct("<10I")
_SYMBOL = struct.Struct("<IIIBBH")
_VECTORS = struct.Struct("<II")
_ELF32_LITTLE_ENDIAN = b"\x7fELF\x01\x01"
_MACHINE_ARM = 40
_LOADABLE = 1
_SYMBOL_TABLE = 2
_SHA256_STRING = re.compile(rb"(?<![0-9a-f])([0-9a-f]{64})\0")


@dataclass(frozen=True)
class Segment:
    """Bytes that are there before the first instruction: `data` from `address` on."""

    address: int
    data: bytes

    @property
    def end(self) -> int:
        """The first address after it."""
        return self.address + len(self.data)


@dataclass(frozen=True)
class LoadImage:
    """What a debug probe writes.

    Attributes:
        elf: The file.
        segments: In the order of the file; the initial values of variables where the image keeps them, not where
            the start-up code copies them to.
    """

    elf: Path
    segments: tuple[Segment, ...]

    def model_sha256(self) -> str:
        """Return the hash of the model file that the image was built from: 64 hex digits.

        The firmware holds it as a string, whichever runtime runs the model.

        Raises:
            TargetError: There is no such string, or more than one.
        """
        found: set[str] = set()
        for segment in self.segments:
            found.update(match.decode() for match in _SHA256_STRING.findall(segment.data))
        if len(found) != 1:
            raise TargetError(f"{self.elf} holds {len(found)} model hashes, not one: make it with `tinyedge build`")
        return found.pop()

    def vectors(self, address: int) -> tuple[int, int]:
        """Return the first two words at `address`: the initial stack pointer and the reset vector.

        Raises:
            TargetError: The image puts nothing there.
        """
        data = self.bytes_from(address, _VECTORS.size)
        if len(data) < _VECTORS.size:
            raise TargetError(f"{self.elf} has no vectors at {address:#010x}: build it for this --board")
        stack_pointer, program_counter = _VECTORS.unpack_from(data)
        return stack_pointer, program_counter

    def bytes_from(self, origin: int, size: int) -> bytes:
        """Return the segments within `size` bytes from `origin` on, gaps filled with zeros, without a tail of them."""
        inside = [segment for segment in self.segments if origin <= segment.address < origin + size]
        flat = bytearray(max((segment.end - origin for segment in inside), default=0))
        for segment in inside:
            flat[segment.address - origin : segment.end - origin] = segment.data
        return bytes(flat)


def read_elf(path: Path) -> LoadImage:
    """Read the loadable segments of an image for a 32-bit Arm.

    Raises:
        TargetError: There is no such file, or it is not such an image.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TargetError(f"cannot read {path} ({error.strerror}): run `tinyedge build` first") from error
    try:
        return LoadImage(path, _segments(content))
    except (struct.error, ValueError) as error:
        raise TargetError(
            f"{path} is not a whole ELF image for Arm ({error}): give the .elf file of `tinyedge build`"
        ) from error


@dataclass(frozen=True)
class Variable:
    """A variable of an image: `bytes` from `address` on."""

    address: int
    bytes: int


def find_variable(path: Path, name: str) -> Variable:
    """Find a variable by the name that it has in C.

    Raises:
        TargetError: The image is none, or has no such variable or several.
    """
    try:
        content = path.read_bytes()
        found = [variable for symbol, variable in _variables(content) if symbol == name.encode()]
    except (OSError, struct.error, IndexError) as error:
        raise TargetError(f"cannot read the symbols of {path} ({error}): build it again") from error
    if len(found) != 1:
        raise TargetError(f"{path} has {len(found)} variables {name}, not one: build it again with `tinyedge build`")
    return found[0]


def find_function(path: Path, name: str) -> int:
    """Return the address of a function's first instruction.

    Raises:
        TargetError: As for `find_variable`.
    """
    return find_variable(path, name).address & ~1  # The lowest bit says Thumb.


def _variables(content: bytes) -> Iterator[tuple[bytes, Variable]]:
    """The symbols of every symbol table, by name."""
    header = _HEADER.unpack_from(content)
    offset, count = header[6], header[12]
    sections = [_SECTION_HEADER.unpack_from(content, offset + i * _SECTION_HEADER.size) for i in range(count)]
    for _, kind, _, _, begin, size, names, *_ in sections:
        if kind != _SYMBOL_TABLE:
            continue
        first_name = sections[names][4]
        for symbol in range(begin, begin + size, _SYMBOL.size):
            name, address, variable_bytes, *_ = _SYMBOL.unpack_from(content, symbol)
            start = first_name + name
            yield content[start : content.index(0, start)], Variable(address, variable_bytes)


def _segments(content: bytes) -> tuple[Segment, ...]:
    header = _HEADER.unpack_from(content)
    ident, _, machine, _, _, program_headers = header[:6]
    entry_bytes, entries = header[9:11]
    if ident[:6] != _ELF32_LITTLE_ENDIAN or machine != _MACHINE_ARM or entry_bytes != _PROGRAM_HEADER.size:
        raise ValueError("its header is another's")
    segments = []
    for index in range(entries):
        kind, offset, _, address, file_bytes, *_ = _PROGRAM_HEADER.unpack_from(
            content, program_headers + index * _PROGRAM_HEADER.size
        )
        if kind != _LOADABLE or file_bytes == 0:
            continue
        if offset + file_bytes > len(content):
            raise ValueError("it ends within a segment")
        segments.append(Segment(address, content[offset : offset + file_bytes]))
    if not segments:
        raise ValueError("it loads nothing")
    return tuple(segments)
