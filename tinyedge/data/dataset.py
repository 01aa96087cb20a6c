"""What a data set is, wherever it came from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from tinyedge.errors import DataError


@dataclass(frozen=True)
class ImageSplit:
    """Images of one split, in memory.

    Attributes:
        images: (N, 3, H, W) uint8, RGB.
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
        mean: Per-channel mean for images scaled to [0, 1], RGB, of the train split.
        std: Per-channel standard deviation for images scaled to [0, 1], RGB, of the train split.
        skipped_files: Broken files that were left out, by path.
        held_out: How `test` was taken from one folder a class, in words that name the very images; None where the set
            has a test split of its own, or none.
    """

    name: str
    train: ImageSplit
    test: ImageSplit | None
    classes: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    skipped_files: tuple[str, ...] = ()
    held_out: str | None = None


def build_dataset(
    name: str,
    train: ImageSplit,
    test: ImageSplit | None,
    classes: Sequence[str],
    skipped_files: Sequence[str] = (),
    held_out: str | None = None,
) -> ImageDataset:
    """Return the data set with the mean and standard deviation of its train split."""
    mean, std = channel_statistics(train.images)
    return ImageDataset(name, train, test, tuple(classes), mean, std, tuple(skipped_files), held_out)


def channel_statistics(images: torch.Tensor) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return the per-channel mean and standard deviation of (N, 3, H, W) uint8 images scaled to [0, 1].

    They come from exact integer histograms, so they do not depend on the number of threads. The deviation is at least
    1/255, so that a channel of one value can be normalised.
    """
    histogram = torch.zeros(3, 256, dtype=torch.int64)
    for start in range(0, len(images), 4096):
        for channel in range(3):
            histogram[channel] += torch.bincount(images[start : start + 4096, channel].flatten(), minlength=256)
    value = torch.arange(256, dtype=torch.float64) / 255
    weight = histogram.double() / histogram.sum(1, keepdim=True)  # (3, 256)
    mean = weight @ value  # (3,)
    std = ((weight * (value - mean[:, None]) ** 2).sum(1)).sqrt().clamp_min(1 / 255)
    rounded = [[round(float(x), 6) for x in row] for row in (mean, std)]
    return (rounded[0][0], rounded[0][1], rounded[0][2]), (rounded[1][0], rounded[1][1], rounded[1][2])


class LabelledSplit(NamedTuple):
    """Images of one split of which some have labels.

    Attributes:
        images: (N, 3, H, W) uint8, RGB.
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
