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
A classifier of several stages is a sum over them in the same way.

`x + depthwise(x)` is one depthwise convolution whose centre tap is greater by one, and hard-sigmoid is ReLU6 of a
shifted input, its sixth taken by the norm that it gates. TFLite Micro runs all that is left: it has neither batch norm
nor hard-sigmoid.
"""

from collections.abc import Sequence

import torch
from torch import nn

from tinyedge.encoders.base import Encoder
from tinyedge.encoders.fold import FoldedEncoder, FoldedTail, biased_linear, conv_1x1, depthwise_1x1, weight_and_bias
from tinyedge.encoders.registry import deployable_encoders, only_trains_others
from tinyedge.errors import ConfigError


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


class StagedFeature(nn.Module):
    """The means of earlier stages beside what a head makes of the last map.

    Args:
        last: The head: `PooledMean` or `PooledSum`.
    """

    def __init__(self, last: nn.Module):
        super().__init__()
        self.last = last

    def forward(self, body: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Map means (B, C_i) and the map (B, D, h, w) to features, side by side."""
        *means, x = body
        return torch.cat([*means, self.last(x)], dim=1)


class StagedClassifier(nn.Module):
    """What a linear classifier makes of each stage's mean, added up: each has an INT8 scale of its own.

    Args:
        last: The head of the last map, with the bias of all: `PooledClassifier` or `PooledSum`.
        earlier: Linear layers of the earlier stages' means, in order, without a bias.
    """

    def __init__(self, last: nn.Module, earlier: Sequence[nn.Linear]):
        super().__init__()
        self.last = last
        self.earlier = nn.ModuleList(earlier)

    def forward(self, body: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Map means (B, C_i) and the map (B, D, h, w) to logits (B, C)."""
        *means, x = body
        logits: torch.Tensor = self.earlier[0](means[0])
        for linear, mean in zip((*self.earlier[1:], self.last), (*means[1:], x), strict=True):
            logits = logits + linear(mean)
        return logits


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
    folded = _fold_body(encoder)
    head = _feature_head(folded.tail)
    if len(encoder.feature_stages) > 1:
        head = StagedFeature(head)
    return Deployable(folded.body, head).eval()


def _feature_head(tail: FoldedTail | None) -> nn.Module:
    """Return what makes the feature of the last map."""
    if tail is None:
        return PooledMean()
    scale, shift = tail.norm
    weight, bias = weight_and_bias(tail.project)
    direct = depthwise_1x1(scale, shift + scale * bias)
    return PooledSum(tail.expand, direct, conv_1x1(scale[:, None] * weight))


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
    folded = _fold_body(encoder)
    weight, bias = weight.detach().double(), bias.detach().double()
    if len(encoder.feature_stages) == 1:
        return Deployable(folded.body, _classifier_head(folded.tail, weight, bias)).eval()
    *earlier, last = weight.split(encoder.feature_channels, dim=1)
    linears = [biased_linear(columns, torch.zeros_like(bias)) for columns in earlier]
    return Deployable(folded.body, StagedClassifier(_classifier_head(folded.tail, last, bias), linears)).eval()


def _classifier_head(tail: FoldedTail | None, weight: torch.Tensor, bias: torch.Tensor) -> nn.Module:
    """Return what makes logits of the last map, for a classifier (C, D_4) and (C,) of its mean in float64."""
    if tail is None:
        return PooledClassifier(biased_linear(weight, bias))
    scale, shift = tail.norm
    weight, bias = weight * scale, bias + weight @ shift
    project, project_bias = weight_and_bias(tail.project)
    direct = conv_1x1(weight, bias + weight @ project_bias)
    return PooledSum(tail.expand, direct, conv_1x1(weight @ project))


def _fold_body(encoder: Encoder) -> FoldedEncoder:
    """Fold everything before the last map's global mean."""
    if only_trains_others(encoder.name):
        raise ConfigError(
            f"{encoder.name} only trains other encoders and cannot be exported; "
            f"train one of {', '.join(deployable_encoders())}, with this run as --teacher"
        )
    folded = encoder.fold()
    if len(encoder.feature_stages) > 1:
        _check_stages(encoder, folded.body)
    return folded


def _check_stages(encoder: Encoder, body: nn.Module) -> None:
    """Refuse a body that gives its last map alone: a `fold` of a plug-in's own may know of no other stage."""
    pixels, parameter = encoder.input_size, next(encoder.parameters())
    with torch.no_grad():
        made = body(torch.zeros(1, encoder.channels, pixels, pixels, device=parameter.device))
    if not isinstance(made, tuple) or len(made) != len(encoder.feature_stages):
        given = ",".join(map(str, encoder.feature_stages))
        raise ConfigError(
            f"the feature is of stages {given}, and the fold() of {encoder.name} gives its last map alone: let it give "
            "the means of the others too, see tinyedge.encoders.fold.FoldedEncoder, or probe with --stages 4"
        )
