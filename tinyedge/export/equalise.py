"""Give the channels of a residual stream like ranges before they share one INT8 scale.

Between two down-sampling blocks every layer adds to the same stream, which therefore has one quantisation step for all
its channels: a channel of a tenth of the range keeps a tenth of the steps, and a classifier that leans on it hears the
noise. Scaling channel c of a stream by d_c is exact where whoever writes the stream multiplies by d_c and whoever reads
it divides, for convolutions, matrix products and depthwise filters are linear in each channel.

This is the cross-layer equalisation of Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias
Correction" (2019), section 4.1, carried from pairs of layers to whole streams. As in Xiao et al., "SmoothQuant" (2022),
d comes from measured activations, and a power of it leaves part of the imbalance to the weights.
"""

import copy

import torch
from torch import nn

from tinyedge.export.fold import Deployable, FoldedAttention, FoldedExcite, FoldedResidual

# 1 makes all ranges equal and leaves the imbalance to the weights; 0 does nothing.
_STRENGTH = 0.5
_BATCH = 64


def equalise(network: Deployable, images: torch.Tensor) -> Deployable:
    """Scale the channels of every residual stream of a folded network.

    Args:
        network: From `fold_encoder` or `fold_classifier`; it is not changed.
        images: (n, 3, H, W) float32, normalised; the ranges are measured on them.

    Returns:
        A network equal to it up to float32 rounding.
    """
    network = copy.deepcopy(network).requires_grad_(False)
    assert isinstance(network.body, nn.Sequential)
    blocks = list(network.body)
    starts = [index for index, block in enumerate(blocks) if not _is_residual(block)]
    for start, end in zip(starts, [*starts[1:], len(blocks)], strict=True):
        if end - start < 2:
            continue  # Nothing adds to what this block writes.
        factors = _factors(_channel_ranges(network.body, range(start, end), images))
        _multiply_output(blocks[start], factors)
        for block in blocks[start + 1 : end]:
            _rescale_residual(block, factors)
        _divide_input(blocks[end] if end < len(blocks) else network.head, factors)
    return network


def _is_residual(block: nn.Module) -> bool:
    return isinstance(block, FoldedResidual | FoldedExcite) or any(
        isinstance(part, FoldedResidual) for part in block.children()
    )


@torch.no_grad()
def _channel_ranges(body: nn.Sequential, stream: range, images: torch.Tensor) -> torch.Tensor:
    """Return the largest magnitude of each channel (C,) anywhere in a stream."""
    ranges: list[torch.Tensor] = []
    for batch in images.split(_BATCH):
        x = batch
        for index, block in enumerate(body):
            x = block(x)
            if index in stream:
                ranges.append(x.abs().amax(dim=(0, 2, 3)))
            if index + 1 == stream.stop:
                break
    return torch.stack(ranges).amax(dim=0)


def _factors(ranges: torch.Tensor) -> torch.Tensor:
    """Return what each channel is multiplied by: a power of (largest range / its own), 1 for a dead channel."""
    ranges = ranges.double()
    ratio = torch.where(ranges > 0, ranges.max() / ranges.clamp(min=torch.finfo(torch.float32).tiny), 1.0)
    return ratio.clamp(max=2.0**16) ** _STRENGTH


def _rescale_residual(block: nn.Module, factors: torch.Tensor) -> None:
    """Let a block that adds to the stream read and write it scaled."""
    if isinstance(block, FoldedResidual):
        _rescale_residual(block.body, factors)
    elif isinstance(block, FoldedAttention):
        # The keys are the stream itself, so the query makes up for both sides of its product.
        _scale_rows(block.query, 1 / factors)
        _scale_columns(block.query, 1 / factors)
        _scale_rows(block.value, factors)
        _scale_columns(block.value, 1 / factors)
    elif isinstance(block, FoldedExcite):
        _divide_input(block.gate, factors)
        assert block.affine.bias is not None
        block.affine.bias.mul_(factors)
    elif isinstance(block, nn.Conv2d):
        # Depthwise: each channel stays its own.
        assert block.groups == block.in_channels
        assert block.bias is not None
        block.bias.mul_(factors)
    elif any(isinstance(part, FoldedResidual) for part in block.children()):
        for part in block.children():
            _rescale_residual(part, factors)
    else:
        _divide_input(block, factors)
        _multiply_output(block, factors)


def _divide_input(block: nn.Module, factors: torch.Tensor) -> None:
    """Let the first layer of a block, or of the head, read a scaled stream."""
    first = _layers(block)[0]
    if isinstance(first, nn.Conv2d) and first.groups > 1:  # The final norm, one factor a channel.
        first.weight.div_(factors[:, None, None, None])
    else:
        _scale_columns(first, 1 / factors)


def _multiply_output(block: nn.Module, factors: torch.Tensor) -> None:
    """Let the last layer of a block write a scaled stream."""
    _scale_rows(_layers(block)[-1], factors)


def _scale_rows(layer: nn.Conv2d | nn.Linear, factors: torch.Tensor) -> None:
    layer.weight.mul_(factors.reshape(-1, *[1] * (layer.weight.ndim - 1)))
    assert layer.bias is not None
    layer.bias.mul_(factors)


def _scale_columns(layer: nn.Conv2d | nn.Linear, factors: torch.Tensor) -> None:
    layer.weight.mul_(factors.reshape(1, -1, *[1] * (layer.weight.ndim - 2)))


def _layers(block: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    return [module for module in block.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
