"""What every pretraining method offers to the training loop."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn

from tinyedge.announce import SILENCE, Progress
from tinyedge.data.augment import Window
from tinyedge.data.dataset import ImageSplit
from tinyedge.encoders.base import Encoder
from tinyedge.errors import DataError


@dataclass(frozen=True)
class View:
    """How one view of each image is made.

    Attributes:
        preset: Augmentation preset of `tinyedge.training.views`; None is the run's own, which a curriculum may weaken.
        crop_of: Index of an earlier view whose crop window and flip this one has, so that their maps align.
    """

    preset: str | None = None
    crop_of: int | None = None


class Batch(NamedTuple):
    """What a method sees of one step's images.

    Attributes:
        views: A tensor (B, C, H, W) float32, normalised, for each of the method's `views`; row i shows image i in each.
        indices: (B,) int64, the images' places in the split that the method trains on.
        labels: (B,) int64 classes for a method that `uses_labels`; None for all others.
        windows: Where each of the views lies in its images; none where they are the images.
    """

    views: tuple[torch.Tensor, ...]
    indices: torch.Tensor
    labels: torch.Tensor | None
    windows: tuple[Window, ...] = ()

    @property
    def required_labels(self) -> torch.Tensor:
        """The labels (B,), for a method that `uses_labels`.

        Raises:
            DataError: There are none.
        """
        if self.labels is None:
            raise DataError(
                "the images of this batch have no labels: a method that learns from them says `uses_labels`"
            )
        return self.labels


class StepResult(NamedTuple):
    """What a method makes of one batch.

    Attributes:
        loss: Scalar to minimise.
        metrics: Detached scalars to log, and to hand to `after_step`; `loss` is among them.
    """

    loss: torch.Tensor
    metrics: dict[str, torch.Tensor]


class PretrainingMethod(nn.Module):
    """An encoder with everything that is discarded after pretraining.

    Attributes:
        encoder: What is kept.
        views: The views of each image that a step takes; none for a method without training steps.
        uses_labels: Whether it learns from labels, as the supervised baseline and fine-tuning do.
        any_view_size: Whether views that name no preset may be smaller than the encoder's images: of those it then
            compares nothing but features.
        progress: Hears how far `prepare` is; the training sets it.
    """

    encoder: Encoder
    views: tuple[View, ...]
    uses_labels: bool = False
    any_view_size: bool = False
    progress: Progress = SILENCE

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Let torch.compile make the encoder's kernels; see `torch.compile` for the arguments.

        Raises:
            ConfigError: The method's encoder cannot be compiled.
        """
        self.encoder.compile(*args, **kwargs)

    def training_split(self, train: ImageSplit, seed: int) -> ImageSplit:
        """Return the part of the train split that the method learns from: all of it, unless it needs labels."""
        return train

    def prepare(self, images: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        """Compute what is needed once before the first step, such as a teacher's features.

        Args:
            images: (N, C, H, W) uint8, all that the method trains on, on the device of the method.
            mean: Per channel, for images in [0, 1]: what views are normalised with.
            std: Per channel, for images in [0, 1].
        """

    def view_strength(self, progress: float) -> float:
        """Return the strength in [0, 1] of the run's own augmentation at a share of the training: a curriculum."""
        return 1.0

    def forward(self, batch: Batch, generator: torch.Generator, progress: float) -> StepResult:
        """Compute the losses of a batch.

        Args:
            batch: The step's images.
            generator: Source of the method's randomness, on the views' device, in the same state on every rank.
            progress: Share of the training that is done, in [0, 1].
        """
        raise NotImplementedError

    def after_step(self, metrics: dict[str, torch.Tensor]) -> None:
        """Update what depends on the step's metrics (already averaged over all devices)."""

    def state_metrics(self) -> dict[str, torch.Tensor]:
        """Return scalars of the method's own state to log, such as a scheduler's ratios."""
        return {}

    def finish(self) -> None:
        """Turn the encoder into what is kept, once, after the last step and before `branches`."""

    def trained_classifier(self) -> nn.Linear | None:
        """Return the classifier of the encoder's feature that training gave, which is deployed; None without one."""
        return None

    def branches(self) -> dict[str, Encoder]:
        """Return further encoders that training gave, by name; each becomes a run of its own below `branches/`."""
        return {}
