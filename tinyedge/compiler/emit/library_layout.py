"""What lets other build systems take the generated C as it lies: CMake, Zephyr and Arduino, each with an example."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from tinyedge import __version__
from tinyedge.compiler.program import Program
from tinyedge.firmware.sources import firmware_root

_PLACEHOLDER = re.compile(r"@([A-Z_]+)@")


def library_files(program: Program) -> Iterator[tuple[PurePosixPath, str]]:
    """Yield the path below the generated sources and the text of each file, sorted by path."""
    values = {
        "NAME": re.sub(r"[^A-Za-z0-9_]+", "_", program.graph.name),
        "VERSION": __version__,
        "ARENA_BYTES": str(program.plan.arena_bytes),
        "CONSTANT_BYTES": str(program.constant_bytes),
    }
    root = firmware_root() / "library"
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        text = path.read_text(encoding="utf-8")
        filled = _PLACEHOLDER.sub(lambda found: values[found.group(1)], text)
        yield PurePosixPath(path.relative_to(root).as_posix()), filled
