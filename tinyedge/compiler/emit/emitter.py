"""Prints a program as C99: NAME_model.h, NAME_model.c, and copies of the kernels that they call in kernels/.

The folder stands alone: it needs a C99 compiler and nothing else, allocates nothing, and calculates without floating
point, but where the model does at its ends or between its integers. The same model gives the same bytes.
"""

from collections.abc import Callable
from pathlib import Path, PurePosixPath

import numpy as np

from tinyedge.compiler.emit.c_text import array
from tinyedge.compiler.emit.header import ModelStack, model_header
from tinyedge.compiler.emit.kernel_sources import kernel_sources
from tinyedge.compiler.emit.model_card import ModelCard
from tinyedge.compiler.emit.source import model_source
from tinyedge.compiler.program import Program


def emit(
    program: Program,
    name: str,
    directory: Path,
    card: ModelCard | None = None,
    print_array: Callable[[str, np.ndarray], str] = array,
) -> None:
    """Write a program as C sources over what is there.

    Args:
        program: What to print.
        name: What it is called in C, see `tinyedge.compiler.emit.names`.
        directory: Is created where it does not exist.
        card: What the caller has to know beside the tensors, where that is known.
        print_array: Spells the constants of layers, by their name in C.

    Raises:
        UnsupportedOpError: A kernel that the program calls has no source.
    """
    for path, content in program_files(program, name, card, print_array=print_array).items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(content)


def program_files(
    program: Program,
    name: str,
    card: ModelCard | None = None,
    stack: ModelStack | None = None,
    print_array: Callable[[str, np.ndarray], str] = array,
) -> dict[PurePosixPath, bytes]:
    """Return the C sources of a program by their paths.

    Args:
        program: As for `emit`.
        name: As for `emit`.
        card: As for `emit`.
        stack: For the header, where it is known.
        print_array: As for `emit`.

    Raises:
        UnsupportedOpError: As for `emit`.
    """
    files = {
        f"{name}_model.h": model_header(program, name, card, stack),
        f"{name}_model.c": model_source(program, name, card, print_array),
    }
    kernels = {PurePosixPath("kernels", path.name): path.read_bytes() for path in kernel_sources(program)}
    return {PurePosixPath(path): text.encode() for path, text in files.items()} | kernels
