"""The programs that build and run firmware: found on PATH, or named with the package that brings them."""

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
        # GCC ends the line of its version with the number; others begin with it after their name.
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolMissing(f"{path} does not run ({error}): {hint}") from error
    numbers = _VERSION.findall(re.sub(r"\([^)]*\)", "", done.stdout.partition("\n")[0]))
    return Tool(name, Path(path), numbers[0] if numbers else "unknown")


def find_build_tools() -> list[Tool]:
    """Find everything that a firmware build runs.

    Raises:
        ToolMissing: One is missing; or the cross compiler has no C library.
    """
    tools = [find_tool(name) for name in ("arm-none-eabi-gcc", "arm-none-eabi-objcopy", "cmake", "ninja")]
    gcc = tools[0].path
    done = subprocess.run([gcc, "--print-file-name=nano.specs"], capture_output=True, text=True, timeout=60)
    if not Path(done.stdout.strip()).is_file():
        raise ToolMissing(
            f"{gcc} has no newlib (nano.specs): install it with `apt-get install libnewlib-arm-none-eabi`"
        )
    return tools
