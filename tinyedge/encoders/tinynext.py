"""TinyNeXt: convolution early, one lean attention head late, squeeze-and-excitation last.

Zeng et al., "An Efficient Hybrid Vision Transformer for TinyML Applications" (TinyNeXt), ICCV 2025: four stages of
MobileNetV2 blocks, attention blocks and squeeze-and-excitation blocks. The strides are free here, because the
parameters do not depend on them: 32-pixel images need a finer grid than 224-pixel ones.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from tinyedge.encoders.base import Encoder, HiddenLayer
from tinyedge.encoders.depthwise import DepthwiseConv2d
from tinyedge.encoders.fold import (
    FoldedAttention,
    FoldedEncoder,
    FoldedExcite,
    FoldedResidual,
    FoldedStages,
    FoldedTail,
    affine,
    biased_conv,
    biased_linear,
    conv_of_affine,
    depthwise_1x1,
    fold_inverted_residual,
    fold_stages,
    last_blocks,
    scaled_conv,
)
from tinyedge.encoders.tokens import TokenCorruption, corrupt_map, map_to_tokens, tokens_to_map

# ReLUs overwrite what they are given, here and below: nothing else reads it, and training is faster.
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": partial(nn.ReLU, inplace=True),
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "hard_swish": nn.Hardswish,
}


@dataclass(frozen=True)
class TinyNextConfig:
    """Widths and depths of the four stages.

    Attributes:
        widths: Channels of stages 1 to 4.
        depths: Blocks of stages 1 to 4.
        ratios: Expansion of the blocks' hidden layer in stages 1 to 4.
    """

    widths: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]
    ratios: tuple[float, float, float, float]


TINYNEXT_T = TinyNextConfig(widths=(32, 64, 96, 192), depths=(3, 3, 6, 2), ratios=(2, 2, 2, 2))
TINYNEXT_S = TinyNextConfig(widths=(32, 64, 96, 192), depths=(3, 3, 8, 3), ratios=(2, 2, 2, 2))


class ConvBnRelu(nn.Sequential):
    """Convolution, batch norm, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1):
        kind = nn.Conv2d if groups == 1 else DepthwiseConv2d
        super().__init__(
            kind(in_channels, out_channels, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


class MobileBlock(nn.Module):
    """MobileNetV2's inverted residual: expand 1x1, depthwise 3x3, project 1x1; residual where the shape allows it."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, hidden: int):
        super().__init__()
        self.expand = ConvBnRelu(in_channels, hidden, 1)
        self.depthwise = ConvBnRelu(hidden, hidden, 3, stride, groups=hidden)
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

    def hidden_layer(self, name: str) -> HiddenLayer:
        """Describe the expanded channels; `name` is this block's path in its encoder."""
        return HiddenLayer(
            name,
            channels=self.hidden,
            source=name,
            output=f"{name}.depthwise",
            writers=(f"{name}.expand.0", f"{name}.expand.1", f"{name}.depthwise.0", f"{name}.depthwise.1"),
            reader=f"{name}.project.0",
        )


class LeanAttention(nn.Module):
    """Lean single-head self-attention: keys are the tokens themselves, and there is no output projection."""

    def __init__(self, channels: int):
        super().__init__()
        self.query = nn.Linear(channels, channels, bias=False)
        self.value = nn.Linear(channels, channels, bias=False)
        self.scale = channels**-0.5

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C, H, W); position comes from the depthwise convolutions around it."""
        tokens = map_to_tokens(x)  # (B, N, C)
        logits = self.query(tokens) @ tokens.transpose(1, 2) * self.scale  # (B, N, N)
        mixed = logits.softmax(dim=-1) @ self.value(tokens)  # (B, N, C)
        return tokens_to_map(mixed, x.shape[2], x.shape[3])

    def fold(self, scale: torch.Tensor, shift: torch.Tensor) -> nn.Module:
        """Return the network `x + self(scale * x + shift)`; both are (C,)."""
        query = scale[:, None] * self.query.weight.detach().double() * self.scale  # (C, C)
        value = self.value.weight.detach().double()
        attention = FoldedAttention(
            biased_linear(query * scale, query @ shift), biased_linear(value * scale, value @ shift)
        )
        return FoldedResidual(attention)


class SqueezeExcite(nn.Module):
    """A gate for each channel, computed from the pooled map."""

    def __init__(self, channels: int):
        super().__init__()
        reduced = max(channels // 4, 8)
        self.reduce = ConvBnRelu(channels, reduced, 1)
        self.expand = nn.Conv2d(reduced, channels, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C, H, W), each channel scaled by its gate in [0, 1]."""
        pooled = x.mean(dim=(2, 3), keepdim=True)  # (B, C, 1, 1)
        return x * F.hardsigmoid(self.expand(self.reduce(pooled)))

    def fold(self, scale: torch.Tensor, shift: torch.Tensor) -> nn.Module:
        """Return the network `x + self(scale * x + shift)`; both are (C,)."""
        conv, norm, activation = self.reduce
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        reduce = conv_of_affine(scaled_conv(conv, *affine(norm)), scale, shift)
        weight = self.expand.weight.detach().double()
        # hard-sigmoid(z) is ReLU6(z + 3) / 6.
        expand = biased_conv(self.expand, weight, weight.new_full((len(weight),), 3.0))
        six_gates = {"reduce": reduce, "activation": activation, "expand": expand, "gate": nn.ReLU6()}
        return FoldedExcite(nn.Sequential(OrderedDict(six_gates)), depthwise_1x1(scale / 6, shift / 6))


class Mlp(nn.Sequential):
    """Two 1x1 convolutions with bias around an activation."""

    def __init__(self, channels: int, hidden: int, act: str):
        super().__init__(nn.Conv2d(channels, hidden, 1), ACTIVATIONS[act](), nn.Conv2d(hidden, channels, 1))
        self.hidden = hidden

    def hidden_layer(self, name: str) -> HiddenLayer:
        """Describe the channels between the convolutions; `name` is this MLP's path in its encoder."""
        return HiddenLayer(
            name,
            channels=self.hidden,
            source=name,
            output=f"{name}.1",
            writers=(f"{name}.0",),
            reader=f"{name}.2",
        )


class MixerBlock(nn.Module):
    """Three residual steps: mixer on a normed map, depthwise 3x3, MLP on a normed map.

    With attention as its mixer it is TinyNeXt's Former block, with squeeze-and-excitation its Se block.
    """

    def __init__(self, channels: int, mixer: "LeanAttention | SqueezeExcite", hidden: int, act: str):
        super().__init__()
        self.mixer_norm = nn.BatchNorm2d(channels)
        self.mixer = mixer
        self.local = DepthwiseConv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.mlp_norm = nn.BatchNorm2d(channels)
        self.mlp = Mlp(channels, hidden, act)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C, H, W)."""
        x = x + self.mixer(self.mixer_norm(x))
        x = x + self.local(x)
        out: torch.Tensor = x + self.mlp(self.mlp_norm(x))
        return out

    def fold(self) -> nn.Sequential:
        """Return an equal block of `mixer`, `local` and `mlp`, without batch norms."""
        expand, activation, project = self.mlp
        assert isinstance(expand, nn.Conv2d)
        expand = conv_of_affine(expand, *affine(self.mlp_norm))
        mlp = nn.Sequential(OrderedDict(expand=expand, activation=activation, project=project))
        mixer = self.mixer.fold(*affine(self.mixer_norm))
        return nn.Sequential(OrderedDict(mixer=mixer, local=_with_identity(self.local), mlp=FoldedResidual(mlp)))


class TinyNext(Encoder):
    """TinyNeXt without its classifier.

    Args:
        name: Its name in the registry.
        config: Widths and depths.
        input_size: H = W of the images, in pixels.
        strides: Of the two stem convolutions and of the three embeddings between the stages, each 1 or 2.
        act: Of the MLPs, a key of `ACTIVATIONS`. The paper has GELU; ReLU costs a microcontroller nothing.
        hidden: Expanded channels of the `MobileBlock`s and of the MLPs, in the order of the layers; None is the
            config's own.
        channels: C of the images.
    """

    def __init__(
        self,
        name: str,
        config: TinyNextConfig,
        input_size: int,
        strides: tuple[int, ...],
        act: str,
        hidden: tuple[int, ...] | None = None,
        channels: int = 3,
    ):
        super().__init__(name, input_size, strides, act, hidden, channels)
        self.feature_dim = config.widths[3]
        w1, w2, w3, w4 = config.widths
        d1, d2, d3, d4 = config.depths
        h = iter(_own_hidden(config) if hidden is None else hidden)
        self.stem = nn.Sequential(ConvBnRelu(channels, w1 // 2, 3, strides[0]), ConvBnRelu(w1 // 2, w1, 3, strides[1]))
        self.stage1 = nn.Sequential(*(MobileBlock(w1, w1, 1, next(h)) for _ in range(d1)))
        self.embed1 = MobileBlock(w1, w2, strides[2], next(h))
        self.stage2 = nn.Sequential(*(MobileBlock(w2, w2, 1, next(h)) for _ in range(d2)))
        self.embed2 = MobileBlock(w2, w3, strides[3], next(h))
        self.stage3 = nn.Sequential(*(MixerBlock(w3, LeanAttention(w3), next(h), act) for _ in range(d3)))
        self.embed3 = MobileBlock(w3, w4, strides[4], next(h))
        self.stage4 = nn.Sequential(*(MixerBlock(w4, SqueezeExcite(w4), next(h), act) for _ in range(d4)))
        self.norm = nn.BatchNorm2d(w4)
        self.apply(_initialise)

    def compute_maps(self, images: torch.Tensor, corrupt: TokenCorruption | None) -> list[torch.Tensor]:
        """Return the map of each stage; see `Encoder.compute_maps`."""
        m1 = self.stage1(self.stem(images))
        m2 = self.stage2(self.embed1(m1))
        m3 = self.stage3(corrupt_map(self.embed2(m2), corrupt))
        m4 = self.norm(self.stage4(self.embed3(m3)))
        return [m1, m2, m3, m4]

    def fold(self) -> FoldedEncoder:
        """Return an equal network without batch norms; see `Encoder.fold`. The last MLP is its tail."""
        stages = ("stem", "stage1", "embed1", "stage2", "embed2", "stage3", "embed3", "stage4")
        blocks = fold_stages(self, stages)
        name, last = blocks.popitem()
        mixer, local, mlp = last.children()
        assert isinstance(mlp, FoldedResidual)
        expand, activation, project = mlp.body.children()
        assert isinstance(project, nn.Conv2d)
        blocks[name] = nn.Sequential(OrderedDict(mixer=mixer, local=local))
        tail = FoldedTail(nn.Sequential(expand, activation), project, affine(self.norm))
        return FoldedEncoder(FoldedStages(blocks, last_blocks(blocks, self.feature_stages[:-1])), tail)


def _with_identity(conv: nn.Conv2d) -> nn.Conv2d:
    """Return the depthwise convolution `x + conv(x)`."""
    weight = conv.weight.detach().double().clone()  # (C, 1, K, K)
    weight[:, 0, weight.shape[2] // 2, weight.shape[3] // 2] += 1
    return biased_conv(conv, weight, weight.new_zeros(len(weight)))


def _own_hidden(config: TinyNextConfig) -> list[int]:
    """Return the hidden channels of the blocks of each stage, and between two stages those of the embedding."""
    hidden: list[int] = []
    for stage, (width, depth, ratio) in enumerate(zip(config.widths, config.depths, config.ratios, strict=True)):
        if stage > 0:
            hidden.append(width)
        hidden.extend([int(width * ratio)] * depth)
    return hidden


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def tinynext_t(
    input_size: int, strides: tuple[int, ...], act: str, hidden: tuple[int, ...] | None, channels: int
) -> TinyNext:
    """Build TinyNeXt-T."""
    return TinyNext("tinynext_t", TINYNEXT_T, input_size, strides, act, hidden, channels)


def tinynext_s(
    input_size: int, strides: tuple[int, ...], act: str, hidden: tuple[int, ...] | None, channels: int
) -> TinyNext:
    """Build TinyNeXt-S."""
    return TinyNext("tinynext_s", TINYNEXT_S, input_size, strides, act, hidden, channels)
