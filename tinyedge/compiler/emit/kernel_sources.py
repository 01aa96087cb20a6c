"""Which C files of the kernels a program needs."""

import re
from collections.abc import Iterable
from pathlib import Path

from tinyedge.c_sources import firmware_root
from tinyedge.compiler.cascade import Cascade
from tinyedge.compiler.program import Program
from tinyedge.errors import UnsupportedOpError

_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


def kernel_sources(program: Program) -> list[Path]:
    """Return the kernels that a program calls and everything they include, sorted by name.

    Raises:
        UnsupportedOpError: A kernel that the program calls has no source.
    """
    names = [name for call in program.calls for name in (call.function, *call.kernel.calls)]
    if any(isinstance(step, Cascade) for step in program.steps):
        names.append("te_cascade")
    return sources_of(names)


def sources_of(names: Iterable[str]) -> list[Path]:
    """Return the files of some kernels and everything they include, sorted by name.

    Raises:
        UnsupportedOpError: There is none of a name.
    """
    kernels = firmware_root() / "kernels"
    waiting = [kernels / "te_status.h", kernels / "te_kernels.h", *(kernels / f"{name}.c" for name in names)]
    found: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        if not path.is_file():
            raise UnsupportedOpError(f"the kernel source {path.name} is missing from {kernels}: install tinyedge again")
        found.add(path)
        for name in _INCLUDE.findall(path.read_text(encoding="utf-8")):
            included = kernels / name
            waiting.append(included)
            implementation = included.with_suffix(".c")
            if implementation.is_file():
                waiting.append(implementation)
    return sorted(found)
