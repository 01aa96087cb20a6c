"""Errors of one rank, raised on all of them: a rank that stopped alone would leave the others waiting for it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist

from tinyedge.errors import TinyEdgeError
from tinyedge.training.processes import Rank


class RankFailures:
    """Holds this rank's first error until all ranks hear of it; on a single rank nothing is held.

    Args:
        rank: This process.
    """

    def __init__(self, rank: Rank):
        self._rank = rank
        self._error: TinyEdgeError | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold what the block raises; it does not run to its end then."""
        try:
            yield
        except TinyEdgeError as error:
            if self._rank.world_size == 1:
                raise
            self._error = self._error or error

    def raise_on_all_ranks(self) -> None:
        """Raise the lowest rank's error on every rank, if there is one. All ranks have to call this."""
        if self._rank.world_size == 1:
            return
        failed = torch.tensor(float(self._error is not None), device=self._rank.device)
        dist.all_reduce(failed)
        if failed > 0:
            errors: list[TinyEdgeError | None] = [None] * self._rank.world_size
            dist.all_gather_object(errors, self._error)
            raise next(error for error in errors if error is not None)

    @contextmanager
    def raised_on_all_ranks(self) -> Iterator[None]:
        """Raise on every rank what the block raises on one. All ranks have to enter it."""
        with self.held():
            yield
        self.raise_on_all_ranks()
