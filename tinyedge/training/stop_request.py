"""Ctrl-C and SIGTERM while training runs: a wish to stop after the step, so that a checkpoint can be written."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

import torch
import torch.distributed as dist

from tinyedge.training.processes import Rank

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Notes the first signal within its block; a second one stops at once, as outside of it.

    Args:
        rank: This process.
    """

    def __init__(self, rank: Rank):
        self._rank = rank
        self._noted = 0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():  # no other may set handlers
            self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def noted_on_any_rank(self) -> int:
        """Return the number of a signal that a rank has got, 0 for none. All ranks have to call this."""
        if self._rank.world_size == 1:
            return self._noted
        noted = torch.tensor(self._noted, device=self._rank.device)
        dist.all_reduce(noted, dist.ReduceOp.MAX)
        return int(noted)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._noted = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
