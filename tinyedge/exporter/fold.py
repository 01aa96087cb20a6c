"""Exact algebra before quantisation: the trained encoder becomes an equal network with fewer and simpler operators.

In evaluation mode a batch norm is an affine map per channel, `y = a*x + b`. It therefore disappears:

* into the convolution before it, or the 1x1 convolution after it;
* in lean attention, into query and value, while the keys become the raw tokens: what the key's shift adds to a row of
  logits is the same for every key, and softmax does not see it;
* before squeeze-and-excitation, into the gate; what the gate multiplies remains, a 1x1 depthwise convolution;
* before the global mean, into the classifier, because mean and affine map commute.

So do the mean and the last MLP's projection: what the classifier makes of the stream and of the MLP's hidden channels
is added up cell by cell, and the mean of that comes last. INT8 then rounds logits, where it rounded the wide stream and
its mean, and a classifier that leans on quiet directions heard that (3 dB of SQNR on CIFAR-10); the projection is gone.

`x + depthwise(x)` is one depthwise convolution whose centre tap is greater by one, and hard-sigmoid is ReLU6 of a
shifted input, its sixth taken by the norm that it gates. TFLite Micro runs all that is left: it has neither batch norm
nor hard-sigmoid.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn

from tinyedge.encoders.base import Encoder, map_to_tokens, tokens_to_map
from tinyedge.encoders.mobilenetv2 import InvertedResidual, MobileNetV2
from tinyedge.encoders.registry import deployable_encoders
from tinyedge.encoders.tinynext import LeanAttention, MixerBlock, MobileBlock, SqueezeExcite, TinyNext
from tinyedge.errors import ConfigError

Affine = tuple[torch.Tensor, torch.Tensor]
Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


class Deployable(nn.Module):
    """What is exported: convolutions, matrix products and softmax, without a batch norm.

    Args:
        body: Normalised images (B, 3, H, W) to the map (B, D, h, w) that the head takes. Its parts have the encoder's
            names, `stage3_0.mixer`: reports and ONNX show them.
        head: What pools it to the output.
    """

    def __init__(self, body: nn.Module, head: nn.Module):
        super().__init__()
        self.body = body
        self.head = head

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (B, C), or features (B, D), of normalised images (B, 3, H, W)."""
        out: torch.Tensor = self.head(self.body(images))
        return out


class FoldedResidual(nn.Module):
    """`x + body(x)`."""

    def __init__(self, body: nn.Module):
        super().__init__()
        self.body = body

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C, H, W)."""
        out: torch.Tensor = x + self.body(x)
        return out


class FoldedAttention(nn.Module):
    """Lean attention on the raw map: `softmax(query(x) x^T) value(x)`, norm and logit scale inside query and value."""

    def __init__(self, query: nn.Linear, value: nn.Linear):
        super().__init__()
        self.query = query
        self.value = value

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C, H, W)."""
        tokens = map_to_tokens(x)  # (B, N, C)
        weights = (self.query(tokens) @ tokens.transpose(1, 2)).softmax(dim=-1)  # (B, N, N)
        return tokens_to_map(weights @ self.value(tokens), x.shape[2], x.shape[3])


class FoldedExcite(nn.Module):
    """Squeeze-and-excitation with its norm and its residual: `x + affine(x) * gate(mean(x))`.

    Args:
        gate: Pooled map (B, C, 1, 1) to six times the gate.
        affine: 1x1 depthwise: a sixth of the norm.
    """

    def __init__(self, gate: nn.Module, affine: nn.Conv2d):
        super().__init__()
        self.gate = gate
        self.affine = affine

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C, H, W)."""
        gate = self.gate(x.mean(dim=(2, 3), keepdim=True))  # (B, C, 1, 1)
        out: torch.Tensor = x + self.affine(x) * gate
        return out


class PooledMean(nn.Module):
    """Global mean: the feature of an encoder without a final norm."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, D, h, w) to (B, D)."""
        return x.mean(dim=(2, 3))


class PooledSum(nn.Module):
    """The last MLP with its residual, and all that is linear after it: `mean(direct(x) + project(expand(x)))`.

    Args:
        expand: 1x1 convolution and activation: the MLP's hidden channels.
        direct: 1x1: what comes of the stream.
        project: 1x1: what comes of the hidden channels.
    """

    def __init__(self, expand: nn.Module, direct: nn.Conv2d, project: nn.Conv2d):
        super().__init__()
        self.expand = expand
        self.direct = direct
        self.project = project

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, D, h, w) to features (B, D) or logits (B, C)."""
        out: torch.Tensor = self.direct(x) + self.project(self.expand(x))
        return out.mean(dim=(2, 3))


class PooledClassifier(nn.Module):
    """Global mean, then the linear classifier."""

    def __init__(self, linear: nn.Linear):
        super().__init__()
        self.linear = linear

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, D, h, w) to logits (B, C)."""
        out: torch.Tensor = self.linear(x.mean(dim=(2, 3)))
        return out


def fold_encoder(encoder: Encoder) -> Deployable:
    """Fold an encoder into an equal network that returns its feature.

    Args:
        encoder: A trained encoder; it is not changed. Its batch-norm statistics are taken as they are.

    Returns:
        A network in evaluation mode with `encoder.eval()`'s outputs, up to float32 rounding.

    Raises:
        ConfigError: The encoder holds something that a microcontroller's runtime lacks.
    """
    body, tail = _fold_body(encoder)
    if tail is None:
        return Deployable(body, PooledMean()).eval()
    scale, shift = tail.norm
    weight, bias = _weight_and_bias(tail.project)
    direct = _depthwise_1x1(scale, shift + scale * bias)
    return Deployable(body, PooledSum(tail.expand, direct, _conv_1x1(scale[:, None] * weight))).eval()


def fold_classifier(encoder: Encoder, weight: torch.Tensor, bias: torch.Tensor) -> Deployable:
    """Fold an encoder and a linear probe into one network that returns logits.

    Args:
        encoder: A trained encoder; it is not changed.
        weight: (C, D), acting on the raw feature.
        bias: (C,).

    Returns:
        A network in evaluation mode equal to `encoder(images) @ weight.T + bias`, up to float32 rounding.

    Raises:
        ConfigError: The probe is of another feature length, or the encoder cannot be deployed.
    """
    if weight.ndim != 2 or weight.shape[1] != encoder.feature_dim or bias.shape != weight.shape[:1]:
        raise ConfigError(
            f"the probe's weight is {tuple(weight.shape)} and its bias {tuple(bias.shape)}, but {encoder.name} has "
            f"{encoder.feature_dim} features; run `tinyedge probe` on this run again"
        )
    body, tail = _fold_body(encoder)
    weight, bias = weight.detach().double(), bias.detach().double()
    if tail is None:
        return Deployable(body, PooledClassifier(_linear(weight, bias))).eval()
    scale, shift = tail.norm
    weight, bias = weight * scale, bias + weight @ shift
    project, project_bias = _weight_and_bias(tail.project)
    direct = _conv_1x1(weight, bias + weight @ project_bias)
    return Deployable(body, PooledSum(tail.expand, direct, _conv_1x1(weight @ project))).eval()


@dataclass(frozen=True)
class _Tail:
    """What an encoder ends with, up to its final norm: `norm(x + project(expand(x)))`."""

    expand: nn.Module
    project: nn.Conv2d
    norm: Affine


def _fold_body(encoder: Encoder) -> tuple[nn.Module, _Tail | None]:
    """Fold everything before the global mean; a last MLP and the final norm, where there are any, come back apart."""
    for encoder_type, fold_body in _BODIES.items():
        if isinstance(encoder, encoder_type):
            return fold_body(encoder)
    raise ConfigError(
        f"{encoder.name} only trains other encoders and cannot be exported; "
        f"train one of {', '.join(deployable_encoders())}, with this run as --teacher"
    )


def _fold_tinynext(encoder: TinyNext) -> tuple[nn.Module, _Tail | None]:
    stages = ("stem", "stage1", "embed1", "stage2", "embed2", "stage3", "embed3", "stage4")
    blocks = _fold_stages(encoder, stages)
    name, last = blocks.popitem()
    assert isinstance(last, nn.Sequential)
    mixer, local, mlp = last
    assert isinstance(mlp, FoldedResidual)
    assert isinstance(mlp.body, nn.Sequential)
    expand, activation, project = mlp.body
    assert isinstance(project, nn.Conv2d)
    body = _sequential({**blocks, name: _sequential({"mixer": mixer, "local": local})})
    return body, _Tail(nn.Sequential(expand, activation), project, _affine(encoder.norm))


def _fold_mobilenetv2(encoder: MobileNetV2) -> tuple[nn.Module, _Tail | None]:
    stages = ("stem", "stage1", "stage2", "stage3", "stage4", "head")
    return _sequential(_fold_stages(encoder, stages)), None


_BODIES: dict[type[Encoder], Callable[..., tuple[nn.Module, _Tail | None]]] = {
    TinyNext: _fold_tinynext,
    MobileNetV2: _fold_mobilenetv2,
}


def _fold_stages(encoder: Encoder, stages: tuple[str, ...]) -> dict[str, nn.Module]:
    """Fold the blocks of some stages, in order; the key is `stage3_0`, or the stage's name if it is one block."""
    blocks: dict[str, nn.Module] = {}
    for name in stages:
        stage = encoder.get_submodule(name)
        if isinstance(stage, nn.Sequential) and not isinstance(stage[0], nn.Conv2d):
            blocks.update({f"{name}_{index}": _fold_block(block) for index, block in enumerate(stage)})
        else:  # A block, or a convolution with its norm.
            blocks[name] = _fold_block(stage)
    return blocks


def _sequential(parts: dict[str, nn.Module]) -> nn.Sequential:
    return nn.Sequential(OrderedDict(parts))


def _fold_block(block: nn.Module) -> nn.Module:
    if isinstance(block, MobileBlock | InvertedResidual):
        parts = {"expand": block.expand, "depthwise": block.depthwise, "project": block.project}
        body = _sequential(
            {name: _fold_conv_bn(part) for name, part in parts.items() if not isinstance(part, nn.Identity)}
        )
        return FoldedResidual(body) if block.residual else body
    if isinstance(block, MixerBlock):
        return _fold_mixer_block(block)
    return _fold_conv_bn(block)


def _fold_conv_bn(part: nn.Module) -> nn.Module:
    """Fold `convolution, batch norm[, activation]`."""
    assert isinstance(part, nn.Sequential)
    conv, norm, *activation = part
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    return nn.Sequential(_scaled_conv(conv, *_affine(norm)), *activation)


def _fold_mixer_block(block: MixerBlock) -> nn.Module:
    affine = _affine(block.mixer_norm)
    if isinstance(block.mixer, LeanAttention):
        mixer: nn.Module = FoldedResidual(_fold_attention(block.mixer, *affine))
    else:
        assert isinstance(block.mixer, SqueezeExcite)
        mixer = _fold_excite(block.mixer, *affine)
    expand, activation, project = block.mlp
    assert isinstance(expand, nn.Conv2d)
    expand = _conv_of_affine(expand, *_affine(block.mlp_norm))
    mlp = _sequential({"expand": expand, "activation": activation, "project": project})
    return _sequential({"mixer": mixer, "local": _with_identity(block.local), "mlp": FoldedResidual(mlp)})


def _fold_attention(attention: LeanAttention, scale: torch.Tensor, shift: torch.Tensor) -> FoldedAttention:
    query = scale[:, None] * attention.query.weight.detach().double() * attention.scale  # (C, C)
    value = attention.value.weight.detach().double()
    return FoldedAttention(_linear(query * scale, query @ shift), _linear(value * scale, value @ shift))


def _fold_excite(excite: SqueezeExcite, scale: torch.Tensor, shift: torch.Tensor) -> FoldedExcite:
    conv, norm, activation = excite.reduce
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    reduce = _conv_of_affine(_scaled_conv(conv, *_affine(norm)), scale, shift)
    weight = excite.expand.weight.detach().double()
    # hard-sigmoid(z) is ReLU6(z + 3) / 6.
    expand = _conv(excite.expand, weight, weight.new_full((len(weight),), 3.0))
    six_gates = {"reduce": reduce, "activation": activation, "expand": expand, "gate": nn.ReLU6()}
    return FoldedExcite(_sequential(six_gates), _depthwise_1x1(scale / 6, shift / 6))


def _with_identity(conv: nn.Conv2d) -> nn.Conv2d:
    """Return the depthwise convolution `x + conv(x)`."""
    weight = conv.weight.detach().double().clone()  # (C, 1, K, K)
    weight[:, 0, weight.shape[2] // 2, weight.shape[3] // 2] += 1
    return _conv(conv, weight, weight.new_zeros(len(weight)))


def _affine(norm: nn.BatchNorm2d) -> Affine:
    """Return (a, b), float64, of an evaluation-mode batch norm `a*x + b`."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.detach().double() / torch.sqrt(norm.running_var.double() + norm.eps)
    return scale, norm.bias.detach().double() - norm.running_mean.double() * scale


def _scaled_conv(conv: nn.Conv2d, scale: torch.Tensor, shift: torch.Tensor) -> nn.Conv2d:
    """Return the convolution `scale * conv(x) + shift`."""
    bias = shift if conv.bias is None else shift + scale * conv.bias.detach().double()
    return _conv(conv, conv.weight.detach().double() * scale[:, None, None, None], bias)


def _conv_of_affine(conv: nn.Conv2d, scale: torch.Tensor, shift: torch.Tensor) -> nn.Conv2d:
    """Return the convolution `conv(scale * x + shift)`; it has to be 1x1, for padding is not shifted."""
    weight = conv.weight.detach().double()  # (C_out, C_in, 1, 1)
    assert weight.shape[2:] == (1, 1)
    bias = weight[:, :, 0, 0] @ shift
    if conv.bias is not None:
        bias = bias + conv.bias.detach().double()
    return _conv(conv, weight * scale[None, :, None, None], bias)


def _conv(like: nn.Conv2d, weight: torch.Tensor, bias: torch.Tensor) -> nn.Conv2d:
    """Make a convolution of another one's geometry with a bias."""
    conv: nn.Conv2d = nn.utils.skip_init(
        nn.Conv2d,
        like.in_channels,
        like.out_channels,
        like.kernel_size,
        stride=like.stride,
        padding=like.padding,
        groups=like.groups,
    )
    return _filled(conv, weight, bias)


def _depthwise_1x1(scale: torch.Tensor, shift: torch.Tensor) -> nn.Conv2d:
    """Make the 1x1 depthwise convolution `scale * x + shift`."""
    channels = len(scale)
    conv: nn.Conv2d = nn.utils.skip_init(nn.Conv2d, channels, channels, 1, groups=channels)
    return _filled(conv, scale[:, None, None, None], shift)


def _conv_1x1(weight: torch.Tensor, bias: torch.Tensor | None = None) -> nn.Conv2d:
    """Make the 1x1 convolution of a matrix (C_out, C_in)."""
    conv: nn.Conv2d = nn.utils.skip_init(nn.Conv2d, weight.shape[1], weight.shape[0], 1)
    return _filled(conv, weight[:, :, None, None], weight.new_zeros(len(weight)) if bias is None else bias)


def _weight_and_bias(conv: nn.Conv2d) -> Affine:
    """Return matrix (C_out, C_in) and bias (C_out,), float64, of a 1x1 convolution."""
    weight = conv.weight.detach().double()[:, :, 0, 0]
    return weight, weight.new_zeros(len(weight)) if conv.bias is None else conv.bias.detach().double()


def _linear(weight: torch.Tensor, bias: torch.Tensor) -> nn.Linear:
    linear: nn.Linear = nn.utils.skip_init(nn.Linear, weight.shape[1], weight.shape[0])
    return _filled(linear, weight, bias)


def _filled(layer: Layer, weight: torch.Tensor, bias: torch.Tensor) -> Layer:
    layer.weight = nn.Parameter(weight.float(), requires_grad=False)
    layer.bias = nn.Parameter(bias.float(), requires_grad=False)
    return layer
