"""What the toolkit needs on this machine, and what it finds."""

import importlib.metadata
import os
import shutil
from dataclasses import asdict, dataclass
from typing import Any

from tinyedge.errors import ToolMissing
from tinyedge.installation import EXTRAS, install_command
from tinyedge.toolchain import DEBIAN_PACKAGES, find_tool


@dataclass(frozen=True)
class Finding:
    """One program or package.

    Attributes:
        purpose: The part of the work that needs it.
        name: The program or Python package.
        found: Its version or path, or None where it is missing.
        hint: The command that installs it.
    """

    purpose: str
    name: str
    found: str | None
    hint: str

    def to_json(self) -> dict[str, Any]:
        """Return the finding as a JSON object."""
        return asdict(self)


# The command that needs it -> the program.
_PROGRAMS = (
    ("build", "arm-none-eabi-gcc"),
    ("build", "cmake"),
    ("build", "ninja"),
    ("bench on the emulator", "qemu-system-arm"),
    ("web", "clang"),
    ("web", "wasm-ld"),
)


def _package(purpose: str, name: str) -> Finding:
    try:
        found = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        found = None
    return Finding(purpose, name, found, install_command(purpose))


def _program(purpose: str, name: str) -> Finding:
    hint = f"apt-get install {DEBIAN_PACKAGES[name]}"
    try:
        return Finding(purpose, name, find_tool(name).version, hint)
    except ToolMissing:
        return Finding(purpose, name, None, hint)


def examine() -> list[Finding]:
    """Look for every program and package that some command needs."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    return [
        *(_package(purpose, name) for purpose, names in EXTRAS.items() for name in names),
        Finding("bench on the host", "a C compiler", compiler, "apt-get install gcc libc6-dev"),
        *(_program(purpose, name) for purpose, name in _PROGRAMS),
        Finding("build with TFLite Micro", "TFLM_ROOT", os.environ.get("TFLM_ROOT"), "see docs/tflm_runtime.md"),
    ]
