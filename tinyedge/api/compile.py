"""`tinyedge.compile`: a full-INT8 model as C99 for any project."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tinyedge.exporter.model_path import resolve_model

if TYPE_CHECKING:
    from tinyedge.compiler.compile import CompileReport


def compile(
    model: Path | str,
    out: Path | str,
    *,
    instruction_set: str = "portable",
    without: Sequence[str] = (),
    cascade: str = "auto",
) -> "CompileReport":
    """Compile a model to standalone C99: no malloc, no interpreter, no floating point.

    Args:
        model: A full-INT8 .tflite file, or a run directory with an export.
        out: Folder for the C sources.
        instruction_set: `portable` for any processor; `dsp` for Cortex-M4, M7 and M33; `mve` for M55 and M85.
        without: Names of passes to leave out.
        cascade: Where layers run together a stripe of rows at a time: `auto` where that saves RAM for 3 % more
            instructions at most, `always` or `never`.

    Raises:
        ModelError: The model cannot be read or compiled.
        ConfigError: `out` holds something else, or there is no such instruction set, pass or cascade.
    """
    file = resolve_model(Path(model))
    from tinyedge.compiler.compile import compile_model
    from tinyedge.compiler.options import CompileOptions

    return compile_model(file, Path(out), CompileOptions(instruction_set, tuple(without), cascade))
