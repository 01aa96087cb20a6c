"""MobileNetV2 at width 0.35, without its classifier.

Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks". The strides are free here, because the
parameters do not depend on them: 32-pixel images need a finer grid than 224-pixel ones.
"""

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import nn

from tinyedge.encoders.base import Encoder, HiddenLayer
from tinyedge.encoders.depthwise import DepthwiseConv2d
from tinyedge.encoders.fold import FoldedEncoder, FoldedStages, fold_inverted_residual, fold_stages, last_blocks
from tinyedge.encoders.tokens import TokenCorruption, corrupt_map

# Expansion, channels at width 1, blocks, of each row of the paper's table 2.
ROWS = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))
STEM_CHANNELS = 32
HEAD_CHANNELS = 1280
# Stages 1 to 4 by rows: each stage from the third on starts at a change of resolution in the default strides.
STAGE_ROWS = (slice(0, 2), slice(2, 3), slice(3, 5), slice(5, 7))


def scaled_channels(channels: int, width: float) -> int:
    """Round `channels * width` to a multiple of 8, never more than 10 % down (the paper's reference code's rule)."""
    scaled = channels * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


class ConvBnRelu6(nn.Sequential):
    """Convolution, batch norm, ReLU6."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1):
        kind = nn.Conv2d if groups == 1 else DepthwiseConv2d
        super().__init__(
            kind(in_channels, out_channels, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU6(inplace=True),
        )


class InvertedResidual(nn.Module):
    """Expand 1x1 (left out at expansion 1), depthwise 3x3, project 1x1; residual where the shape allows it."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, hidden: int | None):
        super().__init__()
        self.expand = nn.Identity() if hidden is None else ConvBnRelu6(in_channels, hidden, 1)
        hidden = in_channels if hidden is None else hidden
        self.depthwise = ConvBnRelu6(hidden, hidden, 3, stride, groups=hidden)
        self.project = nn.Sequential(nn.Conv2d(hidden, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels))
        self.residual = stride == 1 and in_channels == out_channels
        self.hidden = hidden

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C_in, H, W) to (B, C_out, H/stride, W/stride)."""
        out: torch.Tensor = self.project(self.depthwise(self.expand(x)))
        return x + out if self.residual else out

    def fold(self) -> nn.Module:
        """Return an equal block without batch norms."""
        return fold_inverted_residual(self.expand, self.depthwise, self.project, self.residual)

    def hidden_layer(self, name: str) -> HiddenLayer | None:
        """Describe the expanded channels, None without expansion; `name` is this block's path in its encoder."""
        if isinstance(self.expand, nn.Identity):
            return None
        return HiddenLayer(
            name,
            channels=self.hidden,
            source=name,
            output=f"{name}.depthwise",
            writers=(f"{name}.expand.0", f"{name}.expand.1", f"{name}.depthwise.0", f"{name}.depthwise.1"),
            reader=f"{name}.project.0",
        )


class MobileNetV2(Encoder):
    """MobileNetV2 without its classifier; the last convolution keeps 1280 channels at widths below 1.

    Args:
        name: Its name in the registry.
        width: Multiplier of the channels.
        input_size: H = W of the images, in pixels.
        strides: Of the stem and of the first block of each of the seven rows, each 1 or 2.
        hidden: Expanded channels of all blocks that expand, in the order of the layers; None is the paper's own.
        channels: C of the images.
    """

    def __init__(
        self,
        name: str,
        width: float,
        input_size: int,
        strides: tuple[int, ...],
        hidden: tuple[int, ...] | None = None,
        channels: int = 3,
    ):
        super().__init__(name, input_size, strides, "relu6", hidden, channels)
        self.feature_dim = HEAD_CHANNELS
        widths = [scaled_channels(own, width) for own in (STEM_CHANNELS, *(row[1] for row in ROWS))]
        self.stem = ConvBnRelu6(channels, widths[0], 3, strides[0])
        inner = iter(_own_hidden(widths) if hidden is None else hidden)
        rows = [
            _row(in_channels, out_channels, blocks, stride, inner if expansion > 1 else None)
            for (in_channels, out_channels), (expansion, _, blocks), stride in zip(
                pairwise(widths), ROWS, strides[1:], strict=True
            )
        ]
        self.stage1, self.stage2, self.stage3, self.stage4 = (
            nn.Sequential(*(block for row in rows[stage] for block in row)) for stage in STAGE_ROWS
        )
        self.head = ConvBnRelu6(widths[-1], HEAD_CHANNELS, 1)
        self.apply(_initialise)

    def compute_maps(self, images: torch.Tensor, corrupt: TokenCorruption | None) -> list[torch.Tensor]:
        """Return the map of each stage; see `Encoder.compute_maps`."""
        m1 = self.stage1(self.stem(images))
        m2 = self.stage2(m1)
        # Tokens enter stage 3 behind its first block, which sets the resolution.
        m3 = self.stage3[1:](corrupt_map(self.stage3[0](m2), corrupt))
        m4 = self.head(self.stage4(m3))
        return [m1, m2, m3, m4]

    def fold(self) -> FoldedEncoder:
        """Return an equal network without batch norms; see `Encoder.fold`."""
        blocks = fold_stages(self, ("stem", "stage1", "stage2", "stage3", "stage4", "head"))
        return FoldedEncoder(FoldedStages(blocks, last_blocks(blocks, self.feature_stages[:-1])))


def _row(
    in_channels: int, out_channels: int, blocks: int, stride: int, hidden: Iterator[int] | None
) -> list[InvertedResidual]:
    """Make the blocks of a row; `hidden` gives the expanded channels of each, None where they do not expand."""
    channels = (in_channels, *[out_channels] * blocks)
    return [
        InvertedResidual(before, after, stride if block == 0 else 1, None if hidden is None else next(hidden))
        for block, (before, after) in enumerate(pairwise(channels))
    ]


def _own_hidden(widths: list[int]) -> list[int]:
    """Return the expanded channels of all blocks that expand; `widths` are those of the stem and of the rows."""
    return [
        before * expansion
        for (in_channels, out_channels), (expansion, _, blocks) in zip(pairwise(widths), ROWS, strict=True)
        if expansion > 1
        for before in (in_channels, *[out_channels] * (blocks - 1))
    ]


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out")


def mobilenetv2_035(
    input_size: int, strides: tuple[int, ...], act: str, hidden: tuple[int, ...] | None, channels: int
) -> MobileNetV2:
    """Build MobileNetV2 of width 0.35; `act` is its own ReLU6 whatever it says."""
    return MobileNetV2("mobilenetv2_035", 0.35, input_size, strides, hidden, channels)
