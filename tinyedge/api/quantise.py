"""`tinyedge.quantise`: a float model to INT8 by calibration images, whoever trained it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tinyedge.announce import silent
from tinyedge.destination import check_file
from tinyedge.errors import ConfigError, DataError, ModelError
from tinyedge.installation import missing_packages_told
from tinyedge.manifest.manifest import EXPORT_FOLDER, FLOAT_FILE
from tinyedge.shell import command_line

if TYPE_CHECKING:
    import numpy as np

    from tinyedge.quantisation.post_training import QuantisedFile


@missing_packages_told()
def quantise(
    model: Path | str,
    images: "np.ndarray | Path | str | None" = None,
    *,
    out: Path | str | None = None,
    precision: str = "int8",
    calibration: int = 512,
    seed: int = 0,
    data: str | None = None,
    announce: Callable[[str], None] = silent,
) -> "QuantisedFile":
    """Quantise a float model after training: its own operators over int8, with ranges from calibration images.

    `export` does this for a run and proves the result; this is for a float model of anybody's, or for a run's float
    model anew.

    Args:
        model: A float .tflite or .onnx file, or a run directory with an export.
        images: What the model is calibrated on, as it takes them: (n, *input_shape[1:]) float32, channels last, already
            normalised; or a .npy file of that. None, for a run, is its own train images.
        out: The .tflite file to write; None is `NAME_PRECISION.tflite` in the current folder.
        precision: `int8`, or `16x8` for int16 activations wherever TFLite Micro has them.
        calibration: At most so many images set the ranges, drawn at random; others of them, where there are any, choose
            among several ways to set them.
        seed: Of the draw.
        data: Data set in place of a run's own.
        announce: Called with the name of each step when it begins.

    Raises:
        ModelError: The model cannot be read, is not float, or holds an operator that is not known.
        DataError: The images do not fit the model, or are too few.
        ConfigError: There is no such precision, there are no images, or the file cannot be written.
        ToolMissing: A package of the extra `train`, for ONNX of `export`, is not installed.
    """
    if precision not in ("int8", "16x8"):
        raise ConfigError(f"no such precision: {precision}; choose --precision int8 or 16x8")
    source = Path(model)
    file = source / EXPORT_FOLDER / FLOAT_FILE if source.is_dir() else source
    if not file.is_file():
        export = command_line("tinyedge", "export", source)
        run = f"if {source} is a run, run `{export}` first"
        advice = run if source.is_dir() else "give a float .tflite or .onnx file"
        raise ModelError(f"{file} does not exist: {advice}")
    if images is None and not source.is_dir():
        raise ConfigError(f"{source} is no run, whose images are known: give calibration images with --images X.npy")
    if isinstance(images, Path | str) and not Path(images).is_file():
        raise ConfigError(f"{images} does not exist: give a .npy file of float32 images to --images")
    target = Path(f"{source.resolve().stem}_{precision}.tflite") if out is None else Path(out)
    if out is None and target.exists():
        raise ConfigError(f"{target} exists: move it away, or name the file to write with --out")
    check_file(target, "--out")
    array = _read_images(Path(images)) if isinstance(images, Path | str) else images

    announce("loading PyTorch")
    from tinyedge.quantisation.post_training import quantise_file, train_images

    announce("images")
    if array is None:
        array = train_images(source, data)
    announce("activation ranges")
    return quantise_file(file, array, target, precision=precision, calibration=calibration, seed=seed)


def _read_images(path: Path) -> "np.ndarray":
    import numpy as np

    try:
        with path.open("rb") as stream:
            array: np.ndarray = np.lib.format.read_array(stream, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} is not a .npy file of numbers: write one of float32 images with numpy.save") from error
    if array.dtype.kind not in "fiu":
        raise DataError(f"{path} holds {array.dtype}: write float32 images with numpy.save")
    return array
