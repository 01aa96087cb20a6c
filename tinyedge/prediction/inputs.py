"""From the pixels of image files to a model's input."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tinyedge.data.layout import IMAGE_SUFFIXES
from tinyedge.errors import DataError, ModelError
from tinyedge.manifest.beside import ImageManifest
from tinyedge.manifest.manifest import MANIFEST_FILE
from tinyedge.manifest.preprocess import input_table
from tinyedge.tflite.graph import Graph

_OTHER_INPUTS = "run it on arrays with `tinyedge bench MODEL --input X.npy`"


@dataclass(frozen=True)
class Skipped:
    """An image or a folder that cannot be read, and why."""

    file: str
    reason: str


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes the input of a model.

    Attributes:
        height: Of the input, in pixels.
        width: Of the input, in pixels.
        table: (C, 256) int8, uint8 or float32: the input for each value of a pixel, a row a channel; RGB, or grey.
        white_level: White of 16-bit greyscale files; None where nothing tells.
        assumption: What was taken for granted, in a sentence; None where the export's manifest says it.
    """

    height: int
    width: int
    table: np.ndarray
    white_level: int | None
    assumption: str | None

    def for_files(self, files: Sequence[Path]) -> "Preprocessing":
        """Return the same with the white of these files, if nothing else tells it."""
        from tinyedge.data.white_level import find_white_level

        return self if self.white_level is not None else replace(self, white_level=find_white_level(files))

    def read(self, file: Path) -> np.ndarray:
        """Return the input (H, W, C) that an image file becomes.

        Raises:
            OSError, ValueError, SyntaxError and others of Pillow's: The file is broken or of an unknown form.
        """
        from tinyedge.data.decode import decode_image

        pixels = decode_image(file, (self.height, self.width), self.white_level, len(self.table))  # (H, W, C)
        return np.stack([self.table[channel][pixels[..., channel]] for channel in range(len(self.table))], axis=-1)


def preprocessing_of(graph: Graph, manifest: ImageManifest | None) -> Preprocessing:
    """Return how images become the input of a model: as its manifest says, or by an assumption that is stated.

    Args:
        graph: Of an INT8 model, whose input may be uint8 or float32.
        manifest: Beside it; None for a model from elsewhere.

    Raises:
        ModelError: It does not take images.
    """
    if len(graph.inputs) != 1:
        raise ModelError(f"{graph.name} takes {len(graph.inputs)} inputs, not one image: {_OTHER_INPUTS}")
    shape = graph.inputs[0].shape
    if len(shape) != 4 or shape[0] != 1 or shape[3] not in (1, 3):
        raise ModelError(
            f"{graph.name} takes {list(shape)}, not an image of [1, H, W, 3] or [1, H, W, 1]: {_OTHER_INPUTS}"
        )
    _, height, width, channels = shape
    if manifest is not None:
        return Preprocessing(height, width, input_table(manifest), manifest.preprocessing.white_level, None)
    values, low, high = _whole_range(graph)
    table = np.tile(values, (channels, 1))
    assumption = (
        f"no {MANIFEST_FILE} is beside the model: pixels 0 to 255 are taken to span the whole range of its input, "
        f"{low:.3g} to {high:.3g}, and classes are called by their number"
    )
    return Preprocessing(height, width, table, None, assumption)


def _whole_range(graph: Graph) -> tuple[np.ndarray, float, float]:
    """256 inputs that span what the model was quantised for, and the reals that the first and the last stand for."""
    (tensor,) = graph.inputs
    inside = tensor
    if tensor.dtype == np.float32:
        found = [operator.output for operator in graph.readers().get(tensor, []) if operator.op == "QUANTIZE"]
        if not found:
            raise ModelError(f"{graph.name} takes floats whose range nothing tells: give a model with an int8 input")
        inside = found[0]
    ends = np.iinfo(inside.dtype)
    low, high = (inside.q.scale * (end - inside.q.zero_point) for end in (ends.min, ends.max))
    if tensor.dtype == np.float32:
        return np.linspace(low, high, 256, dtype=np.float32), low, high
    return np.linspace(ends.min, ends.max, 256).round().astype(tensor.dtype), low, high


def list_images(sources: Sequence[Path]) -> tuple[list[Path], list[Skipped]]:
    """Return the image files that are named, and those of the folders that are named, sorted within each.

    What does not exist, and folders without images, come second.

    Raises:
        DataError: There is no image at all.
    """
    files: list[Path] = []
    skipped: list[Skipped] = []
    for source in sources:
        if source.is_dir():
            found = sorted(path for path in source.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
            files += found
            if not found:
                skipped.append(Skipped(str(source), "it holds no images"))
        elif source.is_file():
            files.append(source)
        else:
            skipped.append(Skipped(str(source), "it does not exist"))
    if skipped and not files:
        advice = f"give image files or folders of them, {', '.join(sorted(IMAGE_SUFFIXES))}"
        raise DataError(f"{skipped[0].file} {skipped[0].reason.removeprefix('it ')}; {advice}")
    return files, skipped
