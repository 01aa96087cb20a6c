"""`tinyedge.predict`: the classes of images."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tinyedge.announce import silent
from tinyedge.installation import missing_packages_told
from tinyedge.manifest.model_path import resolve_model
from tinyedge.prediction.inputs import list_images

if TYPE_CHECKING:
    from tinyedge.prediction.predict import PredictReport


@missing_packages_told()
def predict(
    model: Path | str,
    images: Path | str | Sequence[Path | str],
    *,
    target: str = "host",
    runtime: str | None = None,
    board: Path | str | None = None,
    port: str = "auto",
    top: int = 3,
    announce: Callable[[str], None] = silent,
) -> "PredictReport":
    """Name the classes of image files, as the quantised model on the board sees them.

    Images are resized to cover the model's input and cropped at their centre. What a pixel becomes is what the export's
    manifest says; for a file without one it is assumed, and the report says what.

    Args:
        model: A run directory with an export, a full-INT8 .tflite file, or a model of the zoo.
        images: Files, or folders whose images are all taken; what is missing or cannot be read is named in the report.
        target: `host`, `emulator` or `board`.
        runtime: On the host `aot` (our C), `litert`, `tflm` or `onnx`; on the emulator `aot` or `tflm`; a board has
            one. None is `aot`.
        board: A board's name or its .toml file; None is stm32f405 on the emulator, and whatever answers at the port.
        port: The serial port of `target="board"`; `auto` finds it by its USB ids.
        top: How many classes to name for an image.
        announce: Called with what is being done.

    Raises:
        ConfigError: There is no such target, runtime or board, or the model puts out no classes.
        DataError: No image is there, or none can be read.
        ModelError: The model cannot be read or takes no images.
        TargetError: The emulator or the board does not answer, or runs another model.
        ToolMissing: A runtime or a tool of the build is not installed.
    """
    resolve_model(model)
    paths = [Path(images)] if isinstance(images, str | Path) else [Path(image) for image in images]
    files, missing = list_images(paths)
    from tinyedge.prediction.predict import predict_images

    return predict_images(
        model,
        files,
        target=target,
        runtime=runtime,
        board=board,
        port=port,
        top=top,
        missing=missing,
        announce=announce,
    )
