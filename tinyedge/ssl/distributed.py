"""The global batch, spread over ranks row by row: row i of it is on rank i mod world size.

A loss that compares images with each other has to see all of them, and all randomness is drawn for the global batch on
every rank, so that training on several devices computes what one device would at the same global batch.
"""

import torch
import torch.distributed as dist
import torch.distributed.nn.functional as dist_nn


def world_size() -> int:
    """Return how many ranks share the batch; 1 outside distributed training."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def own_rows(x: torch.Tensor) -> torch.Tensor:
    """Return this rank's rows (B, ...) of a tensor over the global batch (B * world size, ...)."""
    size = world_size()
    return x if size == 1 else x[dist.get_rank() :: size]


def gather_rows(x: torch.Tensor) -> torch.Tensor:
    """Return the rows of all ranks (B * world size, ...) in the order of the global batch; gradients flow to all ranks.

    Each rank that computes the same loss from the result gives it to `backward`; the average of the ranks' gradients
    is then the gradient of that loss.
    """
    size = world_size()
    if size == 1:
        return x
    stacked = torch.stack(dist_nn.all_gather(x.contiguous()), dim=1)  # (B, world, ...)
    return stacked.reshape(-1, *x.shape[1:])
