"""The accessors of flatbuffers in half the time, to read many models; what they give and raise stays the same."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flatbuffers import encode
from flatbuffers import number_types as numbers
from flatbuffers.table import Table

_UOFFSET, _SOFFSET, _VOFFSET = numbers.UOffsetTFlags, numbers.SOffsetTFlags, numbers.VOffsetTFlags
_read_soffset, _read_voffset = _SOFFSET.packer_type.unpack_from, _VOFFSET.packer_type.unpack_from
_MOST = _UOFFSET.max_val


def _get_value(packer_type: Any, content: bytes, at: int) -> Any:
    return packer_type.unpack_from(content, at)[0]


def _get(self: Table, flags: Any, at: int) -> Any:
    if not 0 <= at <= _MOST:
        numbers.enforce_number(at, _UOFFSET)
    return flags.py_type(flags.packer_type.unpack_from(self.Bytes, at)[0])


def _offset(self: Table, entry: int) -> int:
    content, at = self.Bytes, self.Pos
    if not 0 <= at <= _MOST:
        numbers.enforce_number(at, _UOFFSET)
    table = at - _read_soffset(content, at)[0]
    if not 0 <= table <= _MOST - entry:
        numbers.enforce_number(table, _UOFFSET)
        numbers.enforce_number(table + entry, _UOFFSET)
    return _read_voffset(content, table + entry)[0] if entry < _read_voffset(content, table)[0] else 0


@contextmanager
def quick_tables() -> Iterator[None]:
    """Replace the accessors meanwhile."""
    kept = Table.Get, Table.Offset, encode.Get
    Table.Get, Table.Offset, encode.Get = _get, _offset, _get_value
    try:
        yield
    finally:
        Table.Get, Table.Offset, encode.Get = kept
