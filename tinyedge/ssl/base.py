"""What every pretraining method offers to the training loop."""

from typing import NamedTuple

import torch
from torch import nn

from tinyedge.encoders.base import Encoder


class StepResult(NamedTuple):
    """What a method makes of one batch.

    Attributes:
        loss: Scalar to minimise.
        metrics: Detached scalars to log, and to hand to `after_step`.
    """

    loss: torch.Tensor
    metrics: dict[str, torch.Tensor]


class PretrainingMethod(nn.Module):
    """An encoder with everything that is discarded after pretraining.

    Attributes:
        encoder: What is kept.
        view_count: Augmented views of each image that `forward` takes; 0 for a method without training steps.
    """

    encoder: Encoder
    view_count: int

    def forward(self, views: tuple[torch.Tensor, ...], generator: torch.Generator, progress: float) -> StepResult:
        """Compute the losses of a batch.

        Args:
            views: `view_count` tensors (B, 3, H, W) float32, normalised; row i shows image i in each.
            generator: Source of the method's randomness, on the views' device.
            progress: Share of the training that is done, in [0, 1].
        """
        raise NotImplementedError

    def after_step(self, metrics: dict[str, torch.Tensor]) -> None:
        """Update what depends on the step's metrics (already averaged over all devices)."""

    def state_metrics(self) -> dict[str, torch.Tensor]:
        """Return scalars of the method's own state to log, such as a scheduler's ratios."""
        return {}
