"""What is white in 16-bit greyscale files, whose sensors give 10, 12 or 14 bits as often as 16."""

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

FULL_WHITE = 65_535
_BITS = (8, 10, 12, 14, 16)
# The other formats have no 16-bit greyscale, or say what is white, as PGM does, and Pillow makes it 65,535.
_FORMATS = frozenset({"PNG", "TIFF"})
_SUFFIXES = frozenset({".png", ".tif", ".tiff"})


def find_white_level(files: Iterable[Path | BinaryIO]) -> int | None:
    """Return the white of the 16-bit greyscale images among files or their contents.

    It is one for all, so that they stay comparable: the least of 2^8 - 1, 2^10 - 1, 2^12 - 1, 2^14 - 1 and 2^16 - 1
    that no pixel is above.

    Returns:
        None if there are no such images. Broken files are passed over.
    """
    brightest = -1
    for file in files:
        if isinstance(file, Path) and file.suffix.lower() not in _SUFFIXES:
            continue
        try:
            with Image.open(file) as image:
                if image.format in _FORMATS and is_sixteen_bit(image):
                    brightest = max(brightest, int(np.asarray(image).max()))
        except Exception:  # What decodes them names the broken ones.
            continue
    if brightest < 0:
        return None
    return next((2**bits - 1 for bits in _BITS if brightest < 2**bits), FULL_WHITE)


def white_of(image: Image.Image, white_level: int | None) -> int:
    """Return the white of an image that was just opened, where that of its data set is `white_level`."""
    return white_level if white_level is not None and image.format in _FORMATS else FULL_WHITE


def is_sixteen_bit(image: Image.Image) -> bool:
    """Tell whether an image is greyscale of 16 bits, which Pillow has several modes for."""
    return image.mode == "I" or image.mode.startswith("I;16")
