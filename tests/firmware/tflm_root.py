"""Makes something that looks like a checkout of tflite-micro with a built library, from the stand-in in fixtures/."""

import shutil
import subprocess
from pathlib import Path

from tinyedge.boards.board import load_board

STUB = Path(__file__).parent / "fixtures" / "tflm_stub"
DEFINITIONS = ("-DTF_LITE_STATIC_MEMORY", "-DTF_LITE_STRIP_ERROR_STRINGS")
_CXX = ("-std=c++17", "-Os", "-fno-rtti", "-fno-exceptions", "-ffunction-sections", "-fdata-sections")


def make_root(folder: Path) -> Path:
    """Copy the stand-in's headers to where upstream has its own; there is no library yet."""
    root = folder / "tflite-micro"
    shutil.copytree(STUB, root)
    downloads = root / "tensorflow" / "lite" / "micro" / "tools" / "make" / "downloads"
    for header in ("flatbuffers/include/flatbuffers/flatbuffers.h", "gemmlowp/fixedpoint/fixedpoint.h"):
        (downloads / header).parent.mkdir(parents=True)
        (downloads / header).write_text("")
    return root


def add_library(
    root: Path, flags: str | None = None, *, name: str = "built", definitions: tuple[str, ...] = ()
) -> Path:
    """Compile the stand-in into a library.

    Args:
        root: What `make_root` returned.
        flags: Of the processor; None for those of mps2_an386.
        name: Of the folder in root/gen.
        definitions: Further options of the compiler.
    """
    library = root / "gen" / name / "lib" / "libtensorflow-microlite.a"
    library.parent.mkdir(parents=True)
    chosen = load_board("mps2_an386").cpu_flags if flags is None else flags
    compiler = ["arm-none-eabi-g++", *_CXX, *chosen.split(), *DEFINITIONS, *definitions, f"-I{root}"]
    subprocess.run([*compiler, "-c", root / "library.cc", "-o", library.with_suffix(".o")], check=True)
    subprocess.run(["arm-none-eabi-ar", "crs", library, library.with_suffix(".o")], check=True)
    return library
