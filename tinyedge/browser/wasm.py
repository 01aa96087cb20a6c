"""A compiled program as WebAssembly: the C of `tinyedge compile` by clang, without a C library."""

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tinyedge.c_sources import firmware_root
from tinyedge.compiler.emit.c_text import string_array
from tinyedge.compiler.emit.emitter import emit
from tinyedge.compiler.program import Program
from tinyedge.errors import ToolMissing
from tinyedge.toolchain import find_tool

CLASSES = 16
"""How many classes a page can learn."""

COMPILE_FLAGS = (
    *("--target=wasm32", "-std=c99", "-O3", "-flto"),
    *("-msimd128", "-mbulk-memory"),  # What browsers have since 2021, Safari since 2023.
    "-ffp-contract=off",
    "-nostdlibinc",
)
LINK_FLAGS = (
    *("-nostdlib", "-Wl,--no-entry", "-Wl,--gc-sections", "-Wl,--strip-all", "-Wl,--lto-O3"),
    # Below the data, where a stack that is too deep is an error rather than wrong results.
    *("-Wl,--stack-first", "-Wl,-z,stack-size=65536"),
)

_ASSETS = Path(__file__).parent / "assets"
# What the model is called in driver.c.
_NAME = "page"
_LEARNING_SOURCES = ("te_classes.c", "te_classes.h")


@dataclass(frozen=True)
class Learning:
    """What a page learns classes from.

    Attributes:
        output: Which of the program's outputs is the embedding.
        values: Of the embedding.
        zero_point: Of the embedding.
    """

    output: int
    values: int
    zero_point: int


def compile_wasm(program: Program, learning: Learning | None) -> bytes:
    """Return a module that exports what `assets/driver.c` does, and imports nothing.

    Args:
        program: What to compile.
        learning: None where it does not learn.

    Raises:
        ToolMissing: clang or wasm-ld is not installed, or has no WebAssembly.
    """
    clang, _ = find_wasm_tools()
    learned = learning or Learning(0, 0, 0)
    defined = {
        "TE_WEB_VALUES": learned.values,
        "TE_WEB_EMBEDDING": learned.output,
        "TE_WEB_ZERO_POINT": f"({learned.zero_point})",
        "TE_WEB_CLASSES": CLASSES,
    }
    with tempfile.TemporaryDirectory(prefix="tinyedge-web-") as name:
        folder = Path(name)
        emit(program, _NAME, folder, print_array=string_array)
        (folder / "driver.c").write_bytes((_ASSETS / "driver.c").read_bytes())
        for source in _LEARNING_SOURCES if learning else ():
            (folder / source).write_bytes((firmware_root() / "app" / source).read_bytes())
        sources = sorted(str(source.relative_to(folder)) for source in folder.rglob("*.c"))
        options = (f"-D{macro}={value}" for macro, value in defined.items())
        include = ("-I.", "-isystem", str(_ASSETS / "include"))
        command = [str(clang), *COMPILE_FLAGS, *include, *options, *LINK_FLAGS, *sources, "-o", "page.wasm"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise ToolMissing(
                f"{clang} does not compile to WebAssembly ({last}): install LLVM's with `apt-get install clang lld`"
            )
        return (folder / "page.wasm").read_bytes()


def find_wasm_tools() -> tuple[Path, Path]:
    """Return where the compiler and the linker are.

    Raises:
        ToolMissing: One is not installed.
    """
    return find_tool("clang").path, find_tool("wasm-ld").path
