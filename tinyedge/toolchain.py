"""The programs that build and run firmware: found on PATH, or named with the package that brings them."""

import functools
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tinyedge.errors import ToolMissing


@dataclass(frozen=True)
class Tool:
    """A program on this machine.

    Attributes:
        name: As it is called.
        path: Where it is.
        version: As it says itself: "12.2.1".
    """

    name: str
    path: Path
    version: str


# What to install for each, on Debian and Ubuntu. The C library is a package of its own there.
DEBIAN_PACKAGES = {
    "arm-none-eabi-gcc": "gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "arm-none-eabi-objcopy": "binutils-arm-none-eabi",
    "cmake": "cmake",
    "ninja": "ninja-build",
    "qemu-system-arm": "qemu-system-arm",
    "clang": "clang",
    "wasm-ld": "lld",
}

_VERSION = re.compile(r"\d+\.\d+(?:\.\d+)*")


def find_tool(name: str) -> Tool:
    """Find a program and ask for its version.

    Args:
        name: A key of `DEBIAN_PACKAGES`.

    Raises:
        ToolMissing: It is not on PATH or does not start.
    """
    hint = f"install it with `apt-get install {DEBIAN_PACKAGES[name]}`"
    path = shutil.which(name)
    if path is None:
        raise ToolMissing(f"{name} is not on PATH: {hint}")
    try:
        said = _said(path, "--version", Path(path).stat().st_mtime_ns)
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolMissing(f"{path} does not run ({error}): {hint}") from error
    # GCC ends the line of its version with the number; others begin with it after their name.
    numbers = _VERSION.findall(re.sub(r"\([^)]*\)", "", said.partition("\n")[0]))
    return Tool(name, Path(path), numbers[0] if numbers else "unknown")


# A build and each emulator ask anew, and QEMU takes tens of milliseconds to say its version.
@functools.lru_cache(maxsize=64)
def _said(path: str, option: str, changed_ns: int) -> str:
    """What a program of this path, written at this time, says to an option."""
    del changed_ns
    return subprocess.run([path, option], capture_output=True, text=True, timeout=60, check=True).stdout


def find_build_tools() -> list[Tool]:
    """Find everything that a firmware build runs.

    Raises:
        ToolMissing: One is missing; or the cross compiler has no C library.
    """
    tools = [find_tool(name) for name in ("arm-none-eabi-gcc", "arm-none-eabi-objcopy", "cmake", "ninja")]
    gcc = tools[0].path
    specs = _said(str(gcc), "--print-file-name=nano.specs", gcc.stat().st_mtime_ns)
    if not Path(specs.strip()).is_file():
        raise ToolMissing(
            f"{gcc} has no newlib (nano.specs): install it with `apt-get install libnewlib-arm-none-eabi`"
        )
    return tools
