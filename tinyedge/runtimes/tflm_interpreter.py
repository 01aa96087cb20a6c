"""TFLite Micro's interpreter as its package has it, with what it writes to standard error only."""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

_FIRST_ARENA_BYTES = 4 << 20
_LARGEST_ARENA_BYTES = 1 << 30


def open_interpreter(content: bytes) -> Any:
    """Make an interpreter of a model's bytes, in a larger arena each time until the model fits.

    Raises:
        ImportError: The package is not installed.
        RuntimeError: It refuses the model; the message is all that it said.
    """
    from tflite_micro.python.tflite_micro import runtime

    arena_bytes = _FIRST_ARENA_BYTES
    while True:
        with captured_stderr() as captured:
            try:
                return runtime.Interpreter.from_bytes(content, arena_size=arena_bytes)
            except RuntimeError as error:
                message = str(error)
        # It says what is wrong on standard error only.
        message = " ".join([*captured, message])
        arena_bytes *= 4
        if not _wants_memory(message) or arena_bytes > _LARGEST_ARENA_BYTES:
            raise RuntimeError(message)


def missing_operator(message: str) -> str | None:
    """The operator that the interpreter's message says it lacks."""
    missing = re.search(r"Didn't find op for builtin opcode '(\w+)'", message)
    return missing.group(1) if missing else None


def _wants_memory(message: str) -> bool:
    return missing_operator(message) is None and ("resize buffer" in message or "allocate" in message.lower())


def used_arena_bytes(interpreter: Any) -> int | None:
    """What an interpreter used of its arena; None where it does not say."""
    for line in _allocations(interpreter):
        total = re.search(r"Arena allocation total (\d+) bytes", line)
        if total:
            return int(total.group(1))
    return None


def used_arena_bytes_32bit(interpreter: Any) -> int | None:
    """What the same interpreter would use where a pointer takes four bytes; None where it does not say.

    A record that consists of pointers, sizes and an enumeration takes half there: a TfLiteEvalTensor 12 bytes in place
    of 24, a NodeAndRegistration 32 in place of 64. What a library's own kernels take as scratch is not in it.
    """
    total = used_arena_bytes(interpreter)
    if total is None:
        return None
    records = re.compile(r"'(?:TfLiteEvalTensor data|NodeAndRegistration struct)' used (\d+) bytes")
    halved = sum(int(match.group(1)) for line in _allocations(interpreter) if (match := records.search(line)))
    return total - halved // 2


def _allocations(interpreter: Any) -> list[str]:
    with captured_stderr() as captured:
        interpreter.print_allocations()
    return captured


@contextlib.contextmanager
def captured_stderr() -> Iterator[list[str]]:
    """Collect the lines that C++ code writes to standard error inside the block."""
    lines: list[str] = []
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as stream:
        os.dup2(stream.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            stream.seek(0)
            lines.extend(stream.read().decode("utf-8", errors="replace").splitlines())
