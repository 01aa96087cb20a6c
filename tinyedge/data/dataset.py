"""What a data set is, wherever it came from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from tinyedge.data import decode
from tinyedge.errors import DataError

_IMAGES_AT_ONCE = 4096


@dataclass(frozen=True)
class ImageSplit:
    """Images of one split, in memory.

    Attributes:
        images: (N, C, H, W) uint8: RGB, or greyscale with C of 1.
        labels: (N,) int64 class indices, -1 for an image that has none (STL-10's unlabelled part), or None where no
            image has one.
    """

    images: torch.Tensor
    labels: torch.Tensor | None

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class ImageDataset:
    """A train split for pretraining and probing, and a test split for evaluation alone.

    Attributes:
        name: What the user called it: a registered name, or the folder's name.
        train: The only images that pretraining, calibration and probe training ever see.
        test: Held out; None for a folder without one.
        classes: Class names by index; empty where there are no labels.
        mean: Per-channel mean for images scaled to [0, 1], of the train split.
        std: Per-channel standard deviation for images scaled to [0, 1], of the train split.
        skipped_files: Broken files that were left out, by path.
        held_out: How `test` was taken from one folder a class, in words that name the very images; None where the set
            has a test split of its own, or none.
        white_level: White of its 16-bit greyscale files, see `find_white_level`; None where there are none.
    """

    name: str
    train: ImageSplit
    test: ImageSplit | None
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    skipped_files: tuple[str, ...] = ()
    held_out: str | None = None
    white_level: int | None = None


def build_dataset(
    name: str,
    train: ImageSplit,
    test: ImageSplit | None,
    classes: Sequence[str],
    skipped_files: Sequence[str] = (),
    held_out: str | None = None,
    white_level: int | None = None,
) -> ImageDataset:
    """Return the data set with the mean and standard deviation of its train split."""
    mean, std = channel_statistics(train.images)
    return ImageDataset(name, train, test, tuple(classes), mean, std, tuple(skipped_files), held_out, white_level)


def greyscale_dataset(dataset: ImageDataset) -> ImageDataset:
    """Return an RGB data set in greyscale, with the mean and standard deviation of its grey train split."""
    train = ImageSplit(greyscale(dataset.train.images), dataset.train.labels)
    test = None if dataset.test is None else ImageSplit(greyscale(dataset.test.images), dataset.test.labels)
    mean, std = channel_statistics(train.images)
    return replace(dataset, train=train, test=test, mean=mean, std=std)


def greyscale(images: torch.Tensor) -> torch.Tensor:
    """Return (N, 1, H, W) uint8 of (N, 3, H, W) uint8 RGB images on the CPU; see `tinyedge.data.decode.grey`."""
    grey = torch.empty(len(images), 1, *images.shape[2:], dtype=torch.uint8)
    for start in range(0, len(images), _IMAGES_AT_ONCE):
        pixels = images[start : start + _IMAGES_AT_ONCE].permute(0, 2, 3, 1).numpy()
        grey[start : start + _IMAGES_AT_ONCE] = torch.from_numpy(decode.grey(pixels)).permute(0, 3, 1, 2)
    return grey


def channel_statistics(images: torch.Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the per-channel mean and standard deviation of (N, C, H, W) uint8 images scaled to [0, 1].

    They come from exact integer histograms, so they do not depend on the number of threads. The deviation is at least
    1/255, so that a channel of one value can be normalised.
    """
    channels = images.shape[1]
    histogram = torch.zeros(channels, 256, dtype=torch.int64)
    for start in range(0, len(images), _IMAGES_AT_ONCE):
        for channel in range(channels):
            histogram[channel] += torch.bincount(
                images[start : start + _IMAGES_AT_ONCE, channel].flatten(), minlength=256
            )
    value = torch.arange(256, dtype=torch.float64) / 255
    weight = histogram.double() / histogram.sum(1, keepdim=True)  # (3, 256)
    mean = weight @ value  # (C,)
    std = ((weight * (value - mean[:, None]) ** 2).sum(1)).sqrt().clamp_min(1 / 255)
    return tuple(round(float(x), 6) for x in mean), tuple(round(float(x), 6) for x in std)


class LabelledSplit(NamedTuple):
    """Images of one split of which some have labels.

    Attributes:
        images: (N, C, H, W) uint8.
        labels: (N,) int64 class indices, -1 for an image that has none.
    """

    images: torch.Tensor
    labels: torch.Tensor


def labelled_splits(dataset: ImageDataset) -> tuple[LabelledSplit, LabelledSplit]:
    """Return the train and the test split of a data set with labels.

    Raises:
        DataError: A split has no labels or is not there, or there are fewer than two classes.
    """
    if dataset.train.labels is None:
        raise DataError(
            f"{dataset.name} has no labels: sort some images into a folder for each class, and give the folder of "
            "these to --data (pretraining alone does without labels)"
        )
    if dataset.test is None:
        raise DataError(
            f"{dataset.name} has no test split: give two classes or more 3 images each, of which one is held out, or "
            "add a folder test/ with the same classes as train/"
        )
    if dataset.test.labels is None:
        raise DataError(f"the test split of {dataset.name} has no labels: give it the class folders that train/ has")
    if len(dataset.classes) < 2:
        found = ", ".join(dataset.classes) or "none"
        raise DataError(f"{dataset.name} has {len(dataset.classes)} class ({found}): a probe needs at least 2")
    return (
        LabelledSplit(dataset.train.images, dataset.train.labels),
        LabelledSplit(dataset.test.images, dataset.test.labels),
    )
