"""The global batch, spread over ranks row by row: row i of it is on rank i mod world size.

A loss that compares images with each other has to see all of them, and all randomness is drawn for the global batch on
every rank, so that training on several devices computes what one device would at the same global batch.

The gradients follow one rule: what `backward` of all ranks together differentiates is the sum of the ranks' losses, and
the average over ranks that distributed data parallel takes then makes it their mean.
"""

from typing import Any

import torch
import torch.distributed as dist


def world_size() -> int:
    """Return how many ranks share the batch; 1 outside distributed training."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def is_first_rank() -> bool:
    """Tell whether this is the process that writes and prints."""
    return world_size() == 1 or dist.get_rank() == 0


def own_rows(x: torch.Tensor) -> torch.Tensor:
    """Return this rank's rows (B, ...) of a tensor over the global batch (B * world size, ...)."""
    size = world_size()
    return x if size == 1 else x[dist.get_rank() :: size]


def gather_rows(x: torch.Tensor) -> torch.Tensor:
    """Return the rows of all ranks (B * world size, ...) in the order of the global batch; gradients flow to all ranks.

    Each rank that computes the same loss from the result gives it to `backward`; the average of the ranks' gradients
    is then the gradient of that loss.
    """
    if world_size() == 1:
        return x
    gathered: torch.Tensor = _GatherRows.apply(x)
    return gathered


@torch.no_grad()
def mean_over_ranks(x: torch.Tensor) -> torch.Tensor:
    """Return the mean over ranks of a tensor that each rank has, of the same shape and without gradient."""
    size = world_size()
    if size == 1:
        return x.detach()
    total = x.detach().clone()
    dist.all_reduce(total)
    return total / size


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        x = x.contiguous()
        shares = [torch.empty_like(x) for _ in range(dist.get_world_size())]
        dist.all_gather(shares, x)
        return torch.stack(shares, dim=1).flatten(0, 1)  # (B, world, ...) -> (B * world, ...)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        # Every rank's loss depends on every row. Gloo has no reduce-scatter, so all rows are summed and most dropped.
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        return own_rows(total)
