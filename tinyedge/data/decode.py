"""One image file to pixels, with Pillow and NumPy alone."""

from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

from tinyedge.data.white_level import is_sixteen_bit, white_of

# More than a phone's 108 megapixels. A JPEG of more is decoded at a smaller size.
_MOST_PIXELS = 128_000_000
# 0.299, 0.587 and 0.114 in steps of 2^-16, and a half.
_LUMA, _HALF = np.array([19_595, 38_470, 7_471], np.uint32), np.uint32(1 << 15)


def decode_image(
    path: Path | BinaryIO, image_size: int | tuple[int, int], white_level: int | None = None, channels: int = 3
) -> np.ndarray:
    """Decode one file, or its opened content, to (H, W, C) uint8; `image_size` is (H, W), or both in one.

    With 3 `channels` it is RGB, with 1 its luma. EXIF orientation is applied, the image resized to cover (H, W) and the
    centre cropped. Transparent pixels are composited on white. Of 16-bit greyscale PNG and TIFF, `white_level` and what
    is above becomes 255; None is 65,535. Only the first frame of an animation is taken.

    Raises:
        OSError, ValueError, SyntaxError and others of Pillow's: The file is broken, of an unknown form, or its pixels
            would take gigabytes.
    """
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    with Image.open(path) as opened:
        # A JPEG is decoded at the smallest of 1/8..1/1 that leaves twice the wanted size for the resampling.
        opened.draft(None, (2 * width, 2 * height))
        _check_size(opened, width, height)
        image = _to_rgb(ImageOps.exif_transpose(opened), white_of(opened, white_level))
    if image.size != (width, height):
        scale = max(width / image.width, height / image.height)
        size = (max(width, round(image.width * scale)), max(height, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.BICUBIC)
        left, top = (size[0] - width) // 2, (size[1] - height) // 2
        image = image.crop((left, top, left + width, top + height))
    pixels = np.asarray(image, dtype=np.uint8)
    return grey(pixels) if channels == 1 else pixels


def _check_size(image: Image.Image, width: int, height: int) -> None:
    """Refuse an image by what its header says, before its pixels are decoded or grow to cover (H, W)."""
    scale = max(width / max(image.width, 1), height / max(image.height, 1), 1.0)
    if image.width * image.height * scale**2 > _MOST_PIXELS:
        raise ValueError(
            f"{image.width} x {image.height} pixels are too many, or too long and narrow for {width} x {height}"
        )


def grey(pixels: np.ndarray) -> np.ndarray:
    """Return the luma (..., 1) uint8 of RGB pixels (..., 3) uint8: the bytes of Pillow's mode "L" (ITU-R BT.601)."""
    luma: np.ndarray = (pixels.astype(np.uint32) @ _LUMA + _HALF) >> 16
    return luma[..., None].astype(np.uint8)


def _to_rgb(image: Image.Image, white_level: int) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if is_sixteen_bit(image):
        wide = np.asarray(image).astype(np.int64)
        eight = (2 * 255 * wide + white_level) // (2 * white_level)  # Rounded half up.
        return Image.fromarray(np.clip(eight, 0, 255).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ValueError("floating-point pixels have no fixed range")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        foreground = image.convert("RGBA")
        white = Image.new("RGBA", foreground.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, foreground).convert("RGB")
    return image.convert("RGB")
