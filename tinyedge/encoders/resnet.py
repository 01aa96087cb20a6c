"""ResNet-18 with the stem for small images: a teacher, and the network that gated pretraining was published with.

He et al., "Deep Residual Learning for Image Recognition"; a 3x3 stem without max-pool as is usual at 32 pixels. Its 11
million parameters do not fit a microcontroller: it teaches, and it reproduces published figures.

The gating paper's code (KrishnaTarun/Unification, solo/methods/ResCg) pads the stem by 2, so that 32 pixels become maps
of 34; padding 1 keeps them, and padding 2 is there for its count of 7.0356e8 multiply-accumulates. At 96 pixels and
more that code has a 7x7 stem and a max-pool; here two strided 3x3 convolutions reduce the resolution as much.
"""

import torch
from torch import nn

from tinyedge.encoders.base import Encoder, HiddenLayer
from tinyedge.encoders.tokens import TokenCorruption, corrupt_map

WIDTHS = (64, 128, 256, 512)
BLOCKS_PER_STAGE = 2


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, which is a strided 1x1 convolution where the shape changes."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, hidden: int):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, hidden, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(hidden)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(hidden, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.relu2 = nn.ReLU(inplace=True)
        self.shortcut = (
            nn.Identity()
            if stride == 1 and in_channels == out_channels
            else nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C_in, H, W) to (B, C_out, H/stride, W/stride)."""
        inner = self.relu1(self.bn1(self.conv1(x)))
        out: torch.Tensor = self.relu2(self.bn2(self.conv2(inner)) + self.shortcut(x))
        return out

    def hidden_layer(self, name: str) -> HiddenLayer:
        """Describe the channels between the two convolutions; `name` is this block's path in its encoder."""
        return HiddenLayer(
            name,
            channels=self.conv1.out_channels,
            source=name,
            output=f"{name}.relu1",
            writers=(f"{name}.conv1", f"{name}.bn1"),
            reader=f"{name}.conv2",
        )


class ResNet18(Encoder):
    """ResNet-18 without its classifier.

    Args:
        name: Its name in the registry.
        input_size: H = W of the images, in pixels.
        strides: Of the stem and of the first block of each of the four stages, each 1 or 2.
        hidden: Channels between the convolutions of each of the eight blocks; None is the block's width.
        stem_padding: Padding of the stem; 2 is what the gating paper's code has.
        channels: C of the images.
    """

    def __init__(
        self,
        name: str,
        input_size: int,
        strides: tuple[int, ...],
        hidden: tuple[int, ...] | None = None,
        stem_padding: int = 1,
        channels: int = 3,
    ):
        super().__init__(name, input_size, strides, hidden=hidden, channels=channels)
        self.feature_dim = WIDTHS[-1]
        own = tuple(width for width in WIDTHS for _ in range(BLOCKS_PER_STAGE))
        inner = iter(own if hidden is None else hidden)
        self.stem = nn.Sequential(
            nn.Conv2d(channels, WIDTHS[0], 3, strides[0], stem_padding, bias=False),
            nn.BatchNorm2d(WIDTHS[0]),
            nn.ReLU(inplace=True),
        )
        stages = []
        for in_width, width, stride in zip((WIDTHS[0], *WIDTHS), WIDTHS, strides[1:], strict=False):
            first = BasicBlock(in_width, width, stride, next(inner))
            rest = (BasicBlock(width, width, 1, next(inner)) for _ in range(BLOCKS_PER_STAGE - 1))
            stages.append(nn.Sequential(first, *rest))
        self.stage1, self.stage2, self.stage3, self.stage4 = stages
        self.apply(_initialise)

    def compute_maps(self, images: torch.Tensor, corrupt: TokenCorruption | None) -> list[torch.Tensor]:
        """Return the map of each stage; see `Encoder.compute_maps`."""
        m1 = self.stage1(self.stem(images))
        m2 = self.stage2(m1)
        # Tokens enter stage 3 behind its first block, which sets the resolution.
        m3 = self.stage3[1:](corrupt_map(self.stage3[0](m2), corrupt))
        m4 = self.stage4(m3)
        return [m1, m2, m3, m4]


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def resnet18(
    input_size: int, strides: tuple[int, ...], act: str, hidden: tuple[int, ...] | None, channels: int
) -> ResNet18:
    """Build ResNet-18; `act` is ReLU."""
    return ResNet18("resnet18", input_size, strides, hidden, channels=channels)
