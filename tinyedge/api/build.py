"""`tinyedge.build`: the firmware image of a model for a board."""

from pathlib import Path
from typing import TYPE_CHECKING

from tinyedge.boards.board import DEFAULT_BOARD, load_board
from tinyedge.destination import check_folder
from tinyedge.installation import missing_packages_told
from tinyedge.manifest.model_path import default_firmware_folder, resolve_model

if TYPE_CHECKING:
    from tinyedge.firmware.image import FirmwareImage


@missing_packages_told()
def build(
    model: Path | str,
    *,
    board: str = DEFAULT_BOARD,
    runtime: str = "aot",
    out: Path | str | None = None,
    mlperf: str = "",
    layers: bool = False,
    enroll: int = 0,
    cascade: str = "auto",
    optimize: str = "balanced",
    kernels_in: str = "flash",
    weights_in: str = "flash",
) -> "FirmwareImage":
    """Build ELF, BIN, HEX and map for a board, and tell what they take of its memories.

    Args:
        model: A .tflite file (full INT8, but for the interpreters), or a run directory with an export.
        board: The name of a board, or its .toml file.
        runtime: What runs the model: `aot`, or `tflm` with TFLM_ROOT set.
        out: The folder for the image; None is `firmware/BOARD` in a run, or `MODEL-BOARD` in the current folder.
        mlperf: Answer as `ic01`, `vww01`, `kws01` or `ad01` of MLPerf Tiny, with its input format; "" for no benchmark.
        layers: Let the image answer `te layers`; its names take flash.
        enroll: How many classes the image can learn from the model's embedding; 0 for none.
        cascade: As for `tinyedge.compile`.
        optimize: As for `tinyedge.compile`.
        kernels_in: What instructions of the model and its kernels are fetched from: `flash`, or `ram` on a board with
            memory for that, see docs/memory.md.
        weights_in: The same of the model's constants, for which any RAM will do.

    Raises:
        BudgetExceeded: The image does not fit the board.
        ConfigError: There is no such board, runtime or benchmark, the options exclude each other, or the folder cannot
            be written to.
        ModelError: The model cannot be read or compiled.
        ToolMissing: CMake, Ninja or the cross compiler is not installed.
        TargetError: The C does not compile.
    """
    target = load_board(board)
    file = resolve_model(Path(model))
    folder = default_firmware_folder(Path(model), target.name) if out is None else Path(out)
    check_folder(folder, "give another folder with --out")
    from tinyedge.firmware.build import build_firmware
    from tinyedge.firmware.image import ImageOptions

    options = ImageOptions(
        runtime,
        mlperf_id=mlperf,
        layers=layers,
        classes=enroll,
        cascade=cascade,
        optimize=optimize,
        kernels_in=kernels_in,
        weights_in=weights_in,
    )
    if enroll:
        from tinyedge.learning.embedding import read_embedding

        read_embedding(file)
    return build_firmware(file, target, folder, options)
