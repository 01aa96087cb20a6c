"""Ranks of a distributed run, each a process of its own that starts with PyTorch loaded."""

from collections.abc import Callable
from pathlib import Path

import torch

from tinyedge.ssl.distributed import mean_over_ranks
from tinyedge.training.processes import start_context


def run_ranks(body: Callable[[int, str], None], folder: Path, count: int = 2) -> None:
    """Call a function of a module with its rank and a folder in each of `count` processes, and wait for all."""
    start_context()  # So that they are copies of the one process that all others here are.
    torch.multiprocessing.start_processes(body, (str(folder),), nprocs=count, start_method="forkserver")


def mean_of_all(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the means over ranks of tensors of one type, which go from rank to rank as one vector."""
    mean = mean_over_ranks(torch.cat([tensor.flatten() for tensor in tensors.values()]))
    parts = mean.split([tensor.numel() for tensor in tensors.values()])
    return {key: part.view_as(tensor) for (key, tensor), part in zip(tensors.items(), parts, strict=True)}
