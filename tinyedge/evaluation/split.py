"""What a probe is fitted on and what it is measured on: the test split, or train images held out to choose options."""

from dataclasses import dataclass

import numpy as np
import torch

from tinyedge.data.dataset import ImageDataset, labelled_splits
from tinyedge.errors import ConfigError

TEST, HELD_OUT = "test", "held-out"

_HOLD_OUT_SEED = 5000  # Its own, so that no label subset of a small seed has the same order.


@dataclass(frozen=True)
class ProbeImages:
    """The labelled images of a probe.

    Attributes:
        train: (M, C, H, W) uint8: those that labels may be taken from.
        train_labels: (M,) int64, none below 0.
        test: (N, C, H, W) uint8: those that the accuracy is measured on.
        test_labels: (N,) int64, none below 0.
        split: `test`, or `held-out` where `test` is a part of the train split.
    """

    train: torch.Tensor
    train_labels: torch.Tensor
    test: torch.Tensor
    test_labels: torch.Tensor
    split: str


def probe_images(dataset: ImageDataset, hold_out: int = 0) -> ProbeImages:
    """Return the labelled images of both splits, or of the train split alone.

    Args:
        dataset: With labels; images labelled -1 (STL-10's unlabelled part) are left out.
        hold_out: Train images, the same for every seed and label fraction, that are measured instead of the test
            split and never fitted; 0 measures the test split. Pretraining saw them, without their labels, as it saw
            all train images.

    Raises:
        DataError: The data set lacks labels, a test split or a second class.
        ConfigError: `hold_out` is negative, or leaves a class without an image to fit or to measure.
    """
    train_split, test_split = labelled_splits(dataset)
    train, labels = _labelled(*train_split)
    if hold_out == 0:
        return ProbeImages(train, labels, *_labelled(*test_split), split=TEST)
    held = torch.zeros(len(labels), dtype=torch.bool)
    held[hold_out_indices(labels, hold_out)] = True
    return ProbeImages(train[~held], labels[~held], train[held], labels[held], split=HELD_OUT)


def hold_out_indices(labels: torch.Tensor, count: int) -> torch.Tensor:
    """Return the ascending indices of exactly `count` images, each class's share within one image of proportional.

    Args:
        labels: (N,) int64, none below 0.
        count: At least one image a class; at least one a class remains.

    Raises:
        ConfigError: `count` is out of that range.
    """
    classes, sizes = np.unique(labels.numpy(), return_counts=True)
    if not len(classes) <= count <= len(labels) - len(classes):
        raise ConfigError(
            f"--hold-out {count} is out of range: {len(labels)} labelled train images of {len(classes)} classes allow "
            f"{len(classes)} to {len(labels) - len(classes)}"
        )
    exact = count * sizes / len(labels)
    shares = np.clip(np.floor(exact).astype(int), 1, sizes - 1)
    # The largest remainders first; a class never gives its last image.
    while shares.sum() != count:
        step = 1 if shares.sum() < count else -1
        room = shares < sizes - 1 if step == 1 else shares > 1
        shares[np.argmax(np.where(room, step * (exact - shares), -np.inf))] += step
    keys = np.random.PCG64(_HOLD_OUT_SEED).random_raw(len(labels))
    chosen = []
    for label, share in zip(classes, shares, strict=True):
        members = np.flatnonzero(labels.numpy() == label)
        chosen.append(members[np.argsort(keys[members], kind="stable")[:share]])
    return torch.from_numpy(np.sort(np.concatenate(chosen)).astype(np.int64))


def _labelled(images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    known = labels >= 0
    return (images, labels) if bool(known.all()) else (images[known], labels[known])
