"""Batch norm over the global batch, and its statistics on clean images.

Masked and augmented training batches leave other statistics behind than the images that an encoder will see.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn

from tinyedge.ssl.distributed import world_size

_BatchNorm = nn.modules.batchnorm._BatchNorm


@torch.no_grad()
def recalibrate_batch_norm(encoder: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Replace all running statistics by the average over `batches`, and leave the encoder in evaluation mode.

    Args:
        encoder: Any module with batch norms.
        batches: (B, C, H, W) float32 normalised images, as they will be seen at inference.
    """
    norms = _batch_norms(encoder)
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative average
    encoder.train()
    for images in batches:
        encoder(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    encoder.eval()


@contextmanager
def batch_statistics(encoder: nn.Module) -> Iterator[None]:
    """Let a module in training mode normalise by the statistics of each batch without recording them."""
    norms = _batch_norms(encoder)
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


@contextmanager
def synchronised_batch_norm(module: nn.Module) -> Iterator[None]:
    """Let all batch norms of a module normalise by the global batch while the block runs; nothing changes on one rank.

    Parameters, buffers and their names stay, so a checkpoint does not show on how many devices it was made. Unlike
    `torch.nn.SyncBatchNorm` this runs on any device and backend.
    """
    norms = _batch_norms(module) if world_size() > 1 else []
    kinds = [type(norm) for norm in norms]
    for norm in norms:
        norm.__class__ = _SynchronisedBatchNorm
    try:
        yield
    finally:
        for norm, kind in zip(norms, kinds, strict=True):
            norm.__class__ = kind


class _SynchronisedBatchNorm(_BatchNorm):
    """Batch norm of one or two dimensions over the rows of all ranks, which have the same number of them."""

    def _check_input_dim(self, input: torch.Tensor) -> None:
        if input.ndim < 2:
            raise ValueError(f"batch norm takes 2 dimensions or more, not {input.ndim}")

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Map (B, C, ...) to the same shape."""
        self._check_input_dim(input)
        if not self.training:
            return super().forward(input)
        with torch.no_grad():
            mean, variance, count = _global_statistics(input)
            if (
                self.track_running_stats
                and self.running_mean is not None
                and self.running_var is not None
                and self.num_batches_tracked is not None
            ):
                self.num_batches_tracked.add_(1)
                weight = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
                self.running_mean.lerp_(mean.to(self.running_mean), weight)
                self.running_var.lerp_((variance * (count / (count - 1))).to(self.running_var), weight)
        out: torch.Tensor = _NormaliseGlobally.apply(input, self.weight, self.bias, mean, variance, count, self.eps)
        return out


def _global_statistics(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Return mean and biased variance (C,) of (B, C, ...) over all ranks, and how many values a channel has there."""
    over = [0, *range(2, x.ndim)]
    own = torch.stack(torch.var_mean(_wide(x), dim=over, correction=0))  # (2, C): variance, mean
    shares = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(shares, own)
    variances, means = torch.stack(shares, dim=1)  # (world, C) each
    mean = means.mean(dim=0)
    # Chan et al.: of equally large parts, the mean variance plus the variance of the means.
    variance = variances.mean(dim=0) + (means - mean).square().mean(dim=0)
    return mean, variance, x.numel() // x.shape[1] * len(shares)


class _NormaliseGlobally(torch.autograd.Function):
    """Batch norm with given statistics, whose gradient knows that they depend on the rows of all ranks."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor | None,
        bias: torch.Tensor | None,
        mean: torch.Tensor,
        variance: torch.Tensor,
        count: int,
        eps: float,
    ) -> torch.Tensor:
        ctx.save_for_backward(x, weight, mean, variance)
        ctx.count, ctx.eps, ctx.has_bias = count, eps, bias is not None
        return F.batch_norm(x, mean, variance, weight, bias, training=False, eps=eps)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight, mean, variance = ctx.saved_tensors
        scale = torch.ones_like(mean) if weight is None else _wide(weight)
        # As if the statistics were constants; the sums are those of xhat * dy and of dy over this rank.
        direct, own_weight, own_bias = torch.ops.aten.native_batch_norm_backward(
            gradients[0], x, scale, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )
        sums = torch.stack([own_weight, own_bias])
        dist.all_reduce(sums)
        over_weight, over_bias = sums / ctx.count
        inverse = (variance + ctx.eps).rsqrt()
        # dx = scale * inverse * (dy - mean(dy) - xhat * mean(xhat * dy)): affine in x, channel by channel.
        slope = -scale * inverse.square() * over_weight
        offset = -scale * inverse * over_bias - slope * mean
        shape = [1, -1, *[1] * (x.ndim - 2)]
        through = torch.addcmul(offset.view(shape), _wide(x), slope.view(shape))
        return (
            (direct + through).to(x.dtype),
            None if weight is None else own_weight.to(weight),
            own_bias if ctx.has_bias else None,
            *[None] * 4,
        )


def _wide(x: torch.Tensor) -> torch.Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _batch_norms(module: nn.Module) -> list[_BatchNorm]:
    return [child for child in module.modules() if isinstance(child, _BatchNorm)]
