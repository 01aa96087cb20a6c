"""Give the channels of a map like ranges before they share one INT8 scale.

A map has one quantisation step for all its channels: a channel of a tenth of the range keeps a tenth of the steps, and
a classifier that leans on it hears the noise. Scaling channel c of a map by d_c is exact where whoever writes the map
multiplies by d_c and whoever reads it divides, for convolutions, matrix products and depthwise filters are linear in
each channel, and ReLU keeps positive factors. Layers that add to a residual stream write one map together, so they
share the factors, up to the next layer that writes it anew: a down-sampling block, or a depthwise filter.

This is the cross-layer equalisation of Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias
Correction" (2019), section 4.1, carried from pairs of layers to residual streams. It knows our encoders' blocks, and so
takes factors through attention and squeeze-and-excitation, where `equalise_graph` of anybody's network has to stop. As
in Xiao et al., "SmoothQuant" (2022), d comes from measured activations, and a power of it leaves part of the imbalance
to the weights.
"""

import copy
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from tinyedge.conversion.fold import Deployable, PooledSum, StagedClassifier, StagedFeature
from tinyedge.encoders.fold import FoldedAttention, FoldedExcite, FoldedResidual, FoldedStages

# 1 makes all ranges equal and leaves the imbalance to the weights; 0 does nothing.
_STRENGTH = 0.75
_BATCH = 64


def equalise(network: Deployable, images: torch.Tensor) -> Deployable:
    """Scale the channels of the maps between the parts of a folded network.

    Args:
        network: From `fold_encoder` or `fold_classifier`; it is not changed.
        images: (n, 3, H, W) float32, normalised; the ranges are measured on them.

    Returns:
        A network equal to it up to float32 rounding; the same one where its body does not consist of `FoldedStages`.
    """
    network = copy.deepcopy(network).requires_grad_(False)
    if not isinstance(network.body, FoldedStages):
        return network
    parts = list(_parts(network.body))
    ranges = _channel_ranges(parts, images)
    means = _mean_readers(network)
    starts = [index for index, part in enumerate(parts) if not isinstance(part, FoldedResidual | FoldedExcite)]
    for start, end in zip(starts, [*starts[1:], len(parts)], strict=True):
        readers = [parts[end]] if end < len(parts) else _head_readers(network.head)
        pooled = [means[part] for part in parts[start:end] if part in means]
        mean_readers = [reader for reader in pooled if reader is not None]
        if not readers or len(mean_readers) < len(pooled) or not _takes_factors(parts[start]):
            continue
        factors = _factors(torch.stack(ranges[start:end]).amax(dim=0))
        _multiply_output(parts[start], factors)
        for part in parts[start + 1 : end]:
            _rescale_residual(part, factors)
        for reader in (*readers, *mean_readers):
            _divide_input(reader, factors)
    return network


def _parts(body: nn.Module) -> Iterator[nn.Module]:
    """Yield what writes to the stream or adds to it, in order; a block of several such parts is taken apart."""
    for block in body.children():
        yield from _parts_of_block(block)


def _parts_of_block(block: nn.Module) -> Sequence[nn.Module]:
    apart = any(isinstance(part, FoldedResidual | FoldedExcite) for part in block.children())
    return list(block.children()) if apart else [block]


def _head_readers(head: nn.Module) -> list[nn.Module]:
    """Return the parts of the head that read the last map; none if it goes out as it is."""
    if isinstance(head, StagedFeature | StagedClassifier):
        return _head_readers(head.last)
    if isinstance(head, PooledSum):
        return [head.direct, head.expand]
    return [head] if _layers(head) else []


def _mean_readers(network: Deployable) -> dict[nn.Module, nn.Module | None]:
    """Return what reads the mean of each part that is pooled on the way; None where that goes out as it is."""
    assert isinstance(network.body, FoldedStages)
    head, pooled = network.head, network.body.pooled
    readers = head.earlier if isinstance(head, StagedClassifier) else [None] * len(pooled)
    writers = (_parts_of_block(network.body.get_submodule(name))[-1] for name in pooled)
    return dict(zip(writers, readers, strict=True))


def _takes_factors(part: nn.Module) -> bool:
    """Return whether factors of a part's output can be had by scaling its last layer."""
    return not isinstance(list(part.modules())[-1], nn.ReLU6)


@torch.no_grad()
def _channel_ranges(parts: list[nn.Module], images: torch.Tensor) -> list[torch.Tensor]:
    """Return the largest magnitude of each channel (C,) that each part hands on."""
    ranges: list[list[torch.Tensor]] = [[] for _ in parts]
    for batch in images.split(_BATCH):
        x = batch
        for part, seen in zip(parts, ranges, strict=True):
            x = part(x)
            seen.append(x.abs().amax(dim=(0, 2, 3)))
    return [torch.stack(seen).amax(dim=0) for seen in ranges]


def _factors(ranges: torch.Tensor) -> torch.Tensor:
    """Return what each channel is multiplied by: a power of (largest range / its own), 1 for a dead channel."""
    ranges = ranges.double()
    ratio = torch.where(ranges > 0, ranges.max() / ranges.clamp(min=torch.finfo(torch.float32).tiny), 1.0)
    return ratio.clamp(max=2.0**16) ** _STRENGTH


def _rescale_residual(part: nn.Module, factors: torch.Tensor) -> None:
    """Let a part that adds to the stream read and write it scaled."""
    body = part.body if isinstance(part, FoldedResidual) else part
    if isinstance(body, FoldedAttention):
        # The keys are the stream itself, so the query makes up for both sides of its product.
        _scale_rows(body.query, 1 / factors)
        _scale_columns(body.query, 1 / factors)
        _scale_rows(body.value, factors)
        _scale_columns(body.value, 1 / factors)
    elif isinstance(body, FoldedExcite):
        _divide_input(body.gate, factors)
        if body.affine.bias is not None:
            body.affine.bias.mul_(factors)
    else:
        _divide_input(body, factors)
        _multiply_output(body, factors)


def _divide_input(part: nn.Module, factors: torch.Tensor) -> None:
    """Let the first layer of a part read a scaled map."""
    first = _layers(part)[0]
    if isinstance(first, nn.Conv2d) and first.groups > 1:  # Depthwise: each channel stays its own.
        first.weight.div_(factors[:, None, None, None])
    else:
        _scale_columns(first, 1 / factors)


def _multiply_output(part: nn.Module, factors: torch.Tensor) -> None:
    """Let the last layer of a part write a scaled map."""
    _scale_rows(_layers(part)[-1], factors)


def _scale_rows(layer: nn.Conv2d | nn.Linear, factors: torch.Tensor) -> None:
    layer.weight.mul_(factors.reshape(-1, *[1] * (layer.weight.ndim - 1)))
    if layer.bias is not None:
        layer.bias.mul_(factors)


def _scale_columns(layer: nn.Conv2d | nn.Linear, factors: torch.Tensor) -> None:
    layer.weight.mul_(factors.reshape(1, -1, *[1] * (layer.weight.ndim - 2)))


def _layers(part: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    return [module for module in part.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
