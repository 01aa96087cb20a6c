"""Frozen teachers: networks whose features a student learns to match."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn


class TeacherOutput(NamedTuple):
    """What a teacher makes of a batch.

    Attributes:
        features: (B, D) float32.
        maps: Feature maps (B, C_i, H_i, W_i) float32, the finest first.
    """

    features: torch.Tensor
    maps: tuple[torch.Tensor, ...]


class Teacher(nn.Module):
    """A frozen network: in evaluation mode, without gradients, and never part of a method's state.

    Attributes:
        feature_dim: D.
        map_channels: C_i of each map; none for a teacher without maps.
        digest: SHA-256 of its weights and settings: what a cache of its features is keyed by.
        classifier: From its feature to the logits of the student's classes; None where it has no such.
    """

    feature_dim: int
    map_channels: tuple[int, ...]
    digest: str

    def __init__(self) -> None:
        super().__init__()
        self.classifier: nn.Linear | None = None

    def train(self, mode: bool = True) -> "Teacher":
        """Stay in evaluation mode, whatever the method around it does."""
        return super().train(False)

    def forward(self, images: torch.Tensor) -> TeacherOutput:
        """Return the features and maps of images (B, C, H, W), normalised as the data set's are."""
        raise NotImplementedError


class ConcatenatedTeacher(Teacher):
    """Several teachers as one: their features of unit length side by side, so that each weighs the same.

    The cosine of two such features is the mean of the teachers' cosines. Maps are concatenated along their channels,
    at the first teacher's grids; where one of the teachers has none, there are none.

    Args:
        teachers: Two or more, with the same number of maps or none.
    """

    def __init__(self, teachers: Sequence[Teacher]):
        super().__init__()
        self.teachers = nn.ModuleList(teachers)
        self.feature_dim = sum(teacher.feature_dim for teacher in teachers)
        with_maps = all(teacher.map_channels for teacher in teachers)
        levels = zip(*(teacher.map_channels for teacher in teachers if with_maps), strict=True)
        self.map_channels = tuple(sum(channels) for channels in levels)
        self.digest = hashlib.sha256(" ".join(teacher.digest for teacher in teachers).encode()).hexdigest()
        self.eval()

    @torch.no_grad()
    def forward(self, images: torch.Tensor) -> TeacherOutput:
        """Return the concatenated features and maps of images (B, C, H, W)."""
        outputs = [teacher(images) for teacher in self.teachers]
        features = torch.cat([F.normalize(output.features, dim=1) for output in outputs], dim=1)  # (B, sum D)
        levels = zip(*(output.maps for output in outputs if self.map_channels), strict=True)
        maps = tuple(_concatenate(level) for level in levels)
        return TeacherOutput(features, maps)


def _concatenate(maps: Sequence[torch.Tensor]) -> torch.Tensor:
    grid = (maps[0].shape[2], maps[0].shape[3])
    return torch.cat([F.adaptive_avg_pool2d(F.normalize(level, dim=1), grid) for level in maps], dim=1)
