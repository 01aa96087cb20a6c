"""What a data set is, wherever it came from."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class ImageSplit:
    """Images of one split, in memory.

    Attributes:
        images: (N, 3, H, W) uint8, RGB.
        labels: (N,) int64 class indices, or None where the images have none.
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
        mean: Per-channel mean for images scaled to [0, 1], RGB.
        std: Per-channel standard deviation for images scaled to [0, 1], RGB.
        skipped_files: Broken files that were left out, by path.
    """

    name: str
    train: ImageSplit
    test: ImageSplit | None
    classes: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    skipped_files: tuple[str, ...] = ()
