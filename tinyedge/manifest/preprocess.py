"""Images into the model's own int8, with numpy alone: what a benchmark, a host or a firmware's tests feed."""

from typing import TYPE_CHECKING

import numpy as np

from tinyedge.errors import DataError

if TYPE_CHECKING:
    from tinyedge.manifest.beside import ImageManifest
    from tinyedge.manifest.manifest import ExportManifest

FORMULA = "q = clip(floor((pixel / 255 - mean) / std / scale + 0.5) + zero_point, -128, 127)"


def colour_order(mean: tuple[float, ...]) -> str:
    """Return what an export calls the channels of images that have so many means."""
    return "RGB" if len(mean) == 3 else "grey"


def channels_last(images: np.ndarray) -> np.ndarray:
    """Return uint8 images as (n, H, W, C), whether they are that or (n, C, H, W); C is 3 or 1.

    Raises:
        DataError: They are not uint8, or neither shape fits.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or not {images.shape[1], images.shape[3]} & {1, 3}:
        raise DataError(
            f"images are {images.dtype} of shape {images.shape}; give uint8 of shape (n, 3, H, W) or (n, H, W, 3), or "
            "with 1 for the 3 where they are grey"
        )
    return images if images.shape[3] in (1, 3) else np.ascontiguousarray(images.transpose(0, 2, 3, 1))


def normalise_images(images: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...]) -> np.ndarray:
    """Return what the encoder was trained on: `(pixel / 255 - mean) / std`.

    Args:
        images: (n, C, H, W) or (n, H, W, C) uint8: RGB, or grey with C of 1.
        mean: Of each channel, for images scaled to [0, 1].
        std: Of each channel, likewise.

    Returns:
        (n, H, W, C) float32.
    """
    values: np.ndarray = channels_last(images).astype(np.float32)
    values /= np.float32(255)
    values -= np.asarray(mean, np.float32)
    values /= np.asarray(std, np.float32)
    return values


def input_table(manifest: "ExportManifest | ImageManifest") -> np.ndarray:
    """Return the int8 value of every pixel value of every channel, (C, 256): the whole preprocessing as a table.

    Raises:
        DataError: The export holds no INT8 model.
    """
    if manifest.input.scale is None or manifest.input.zero_point is None:
        raise DataError("the export holds no INT8 model; run `tinyedge export RUN --int8`")
    mean = np.asarray(manifest.preprocessing.mean, np.float64)[:, None]
    std = np.asarray(manifest.preprocessing.std, np.float64)[:, None]
    steps = (np.arange(256, dtype=np.float64) / 255 - mean) / std / manifest.input.scale  # (C, 256)
    table: np.ndarray = np.clip(np.floor(steps + 0.5) + manifest.input.zero_point, -128, 127).astype(np.int8)
    return table


def quantise_images(images: np.ndarray, manifest: "ExportManifest") -> np.ndarray:
    """Return images as the INT8 model takes them.

    Args:
        images: (n, C, H, W) or (n, H, W, C) uint8: RGB, or grey with C of 1, of the model's height and width.
        manifest: Of the export that holds the model.

    Returns:
        (n, H, W, C) int8: `FORMULA` of every pixel.

    Raises:
        DataError: The images are of another type or size, or the export holds no INT8 model.
    """
    images = channels_last(images)
    height, width, channels = manifest.input.shape[1:]
    if images.shape[1:3] != (height, width):
        raise DataError(
            f"images are {images.shape[1]}x{images.shape[2]} pixels and the model takes {height}x{width}; resize them"
        )
    if images.shape[3] != channels:
        raise DataError(f"images have {images.shape[3]} channels and the model takes {channels}; convert them")
    table = input_table(manifest)
    return np.stack([table[channel][images[..., channel]] for channel in range(channels)], axis=-1)
