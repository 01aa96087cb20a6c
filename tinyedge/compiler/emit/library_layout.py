"""What lets other build systems take the generated C as it lies: CMake, Zephyr, Arduino and ESP-IDF, with examples.

The templates are in firmware/library: `folder/` for what a folder of models has once, `model/` for what each model has.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from tinyedge.c_sources import firmware_root
from tinyedge.compiler.emit.c_text import comment_safe
from tinyedge.compiler.program import Program
from tinyedge.version import __version__

_PLACEHOLDER = re.compile(r"@([A-Z_]+)@")


def model_files(program: Program, name: str) -> dict[PurePosixPath, bytes]:
    """Return what one model has: its examples, and its switch in Zephyr's configuration.

    Args:
        program: The model.
        name: What it is called in C.

    Returns:
        Each file by its path below the folder.
    """
    values = {
        "NAME": name,
        "UPPER": name.upper(),
        "MODEL": comment_safe(program.graph.name),
        "ARENA_BYTES": str(program.plan.arena_bytes),
        "CONSTANT_BYTES": str(program.constant_bytes),
    }
    return dict(_filled("model", values))


def folder_files(names: Sequence[str]) -> dict[PurePosixPath, bytes]:
    """Return what a folder of models has once.

    Args:
        names: What its models are called in C; at least one.

    Returns:
        Each file by its path below the folder.
    """
    values = {
        "NAMES": "_".join(names),
        "TARGET": f"{names[0]}_model",
        "TARGETS": ", ".join(f"{name}_model" for name in names),
        "HEADERS": ",".join(f"{name}_model.h" for name in names),
        "UPPER": names[0].upper(),
        "VERSION": __version__,
    }
    return dict(_filled("folder", values))


def _filled(part: str, values: dict[str, str]) -> Iterator[tuple[PurePosixPath, bytes]]:
    """The templates of a part with `values` in place of their placeholders, and of NAME in their paths."""
    root: Path = firmware_root() / "library" / part
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        text = path.read_text(encoding="utf-8")
        place = path.relative_to(root).as_posix().replace("NAME", values.get("NAME", ""))
        yield PurePosixPath(place), _PLACEHOLDER.sub(lambda found: values[found.group(1)], text).encode()
