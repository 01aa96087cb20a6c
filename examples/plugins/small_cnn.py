"""An encoder of one's own in one file: five convolutions for 32-pixel images, 25,000 parameters.

tinyedge train --plugin small_cnn.py --encoder small_cnn --data digits --out runs/small
"""

import torch
from torch import nn

from tinyedge import Encoder, register_encoder
from tinyedge.encoders.tokens import TokenCorruption, corrupt_map


def conv_block(in_channels: int, out_channels: int, stride: int, groups: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, groups=groups, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


@register_encoder("small_cnn", strides=(2, 1, 2, 2))
class SmallCnn(Encoder):
    """Four stages; the third adds a depthwise convolution to its own input."""

    def __init__(
        self,
        name: str,
        input_size: int,
        strides: tuple[int, ...],
        act: str,
        hidden: tuple[int, ...] | None,
        channels: int = 3,
    ):
        super().__init__(name, input_size, strides, act, hidden, channels)
        self.feature_dim = 48
        self.stage1 = conv_block(channels, 16, strides[0])
        self.stage2 = conv_block(16, 24, strides[1])
        self.enter3 = conv_block(24, 32, strides[2])
        self.stage3 = conv_block(32, 32, 1, groups=32)
        self.stage4 = conv_block(32, 48, strides[3])

    def compute_maps(self, images: torch.Tensor, corrupt: TokenCorruption | None) -> list[torch.Tensor]:
        """Return the map of each stage; see `Encoder.compute_maps`."""
        m1 = self.stage1(images)
        m2 = self.stage2(m1)
        entered = corrupt_map(self.enter3(m2), corrupt)
        m3 = entered + self.stage3(entered)
        return [m1, m2, m3, self.stage4(m3)]
