import pytest
import torch
from torch import nn

from tinyedge.encoders.base import Encoder
from tinyedge.encoders.tokens import TokenCorruption, corrupt_map


class ToyEncoder(Encoder):
    """Three convolutions and a norm: 16-pixel images, an 8 x 8 grid at stage 3, 8 x 8 or 4 x 4 at stage 4."""

    def __init__(self, last_stride: int = 1):
        super().__init__("toy", 16, (2, last_stride))
        self.feature_dim = 24
        self.embed = nn.Conv2d(3, 12, 3, 2, 1)
        self.repair = nn.Sequential(nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 24, 3, last_stride, 1))
        self.norm = nn.BatchNorm2d(24)

    def compute_maps(self, images: torch.Tensor, corrupt: TokenCorruption | None) -> list[torch.Tensor]:
        early = self.embed(images)
        return [early, early, early, self.norm(self.repair(corrupt_map(early, corrupt)))]


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def toy_encoder():
    torch.manual_seed(0)
    return ToyEncoder()


@pytest.fixture
def coarse_encoder():
    torch.manual_seed(0)
    return ToyEncoder(last_stride=2)
