"""Frozen teachers: networks whose features a student learns to match."""

from typing import NamedTuple

import torch
from torch import nn


class TeacherOutput(NamedTuple):
    """What a teacher makes of a batch.

    Attributes:
        features: (B, D) float32.
        maps: Feature maps (B, C_i, H_i, W_i), the finest first.
    """

    features: torch.Tensor
    maps: tuple[torch.Tensor, ...]


class Teacher(nn.Module):
    """A frozen network: in evaluation mode, without gradients, and never part of a method's state.

    Attributes:
        feature_dim: D.
        map_channels: C_i of each map.
        digest: SHA-256 of its weights and settings: what a cache of its features is keyed by.
    """

    feature_dim: int
    map_channels: tuple[int, ...]
    digest: str

    def forward(self, images: torch.Tensor) -> TeacherOutput:
        """Return the features and maps of images (B, 3, H, W), normalised as the data set's are."""
        raise NotImplementedError
