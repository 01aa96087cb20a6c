"""A queue of a teacher's embeddings."""

import torch
import torch.nn.functional as F
from torch import nn

from tinyedge.ssl.distributed import gather_rows


class FeatureQueue(nn.Module):
    """The last `size` teacher embeddings, of unit length, first in first out; part of a method's state.

    It starts with random directions, as SEED's reference code does. All ranks push the whole global batch, so that
    their queues agree.

    Args:
        size: K.
        dim: D.
    """

    entries: torch.Tensor
    next_place: torch.Tensor

    def __init__(self, size: int, dim: int):
        super().__init__()
        self.register_buffer("entries", F.normalize(torch.randn(size, dim), dim=1))
        self.register_buffer("next_place", torch.zeros((), dtype=torch.int64))

    def read(self) -> torch.Tensor:
        """Return a copy of the embeddings (K, D), so that a push before `backward` leaves the graph alone."""
        return self.entries.clone()

    @torch.no_grad()
    def push(self, features: torch.Tensor) -> None:
        """Replace the oldest embeddings by this rank's (B, D) and those of all other ranks."""
        size = len(self.entries)
        rows = F.normalize(gather_rows(features).to(self.entries), dim=1)[-size:]
        places = (self.next_place + torch.arange(len(rows), device=rows.device)) % size
        self.entries[places] = rows
        self.next_place.copy_((self.next_place + len(rows)) % size)
