"""scikit-learn's bundled handwritten digits (1,797 images of 8x8): real images that need no download."""

import gzip
import importlib.util
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tinyedge.data.dataset import ImageDataset, ImageSplit, build_dataset
from tinyedge.data.splits import label_fraction_indices
from tinyedge.installation import package_missing

_TEST_FRACTION = 0.2
_SPLIT_SEED = 0


def load_digits(image_size: int = 32) -> ImageDataset:
    """Return the digits enlarged with bicubic resampling to `image_size`, 80 % train and 20 % test in each class."""
    large, digits = _enlarged(image_size)
    images = torch.from_numpy(large)[:, None].repeat(1, 3, 1, 1)  # (1797, 3, S, S)
    labels = torch.from_numpy(digits.copy())
    in_test = torch.zeros(len(labels), dtype=torch.bool)
    in_test[label_fraction_indices(labels, _TEST_FRACTION, _SPLIT_SEED)] = True
    train = ImageSplit(images[~in_test].contiguous(), labels[~in_test])
    test = ImageSplit(images[in_test].contiguous(), labels[in_test])
    return build_dataset("digits", train, test, [str(digit) for digit in range(10)])


@lru_cache(maxsize=2)
def _enlarged(image_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the images (1797, S, S) uint8 and their digits (1797,) int64; whoever asks again gets the same arrays."""
    table = _bundled_table()
    small = np.rint(table[:, :-1].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)  # from 0..16
    # Pillow resamples in integers: the same pixels on every machine.
    large = np.stack(
        [
            np.asarray(Image.fromarray(image).resize((image_size, image_size), Image.Resampling.BICUBIC))
            for image in small
        ]
    )
    return large, table[:, -1].astype(np.int64)


def _bundled_table() -> np.ndarray:
    """Return (1797, 65) float64: 64 pixels and the digit a row, from the file in scikit-learn's package.

    The file is read without the package, whose import takes seconds for SciPy.
    """
    package = importlib.util.find_spec("sklearn")
    if package is None or package.origin is None:
        raise package_missing("scikit-learn")
    with gzip.open(Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz", "rt") as file:
        return np.loadtxt(file, delimiter=",")
