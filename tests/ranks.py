"""Ranks of a distributed run, each a process of its own that starts with PyTorch loaded."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import torch

# Imported once by the server that the processes are forked from: it takes seconds in each of them else.
PRELOADED = ("torch", "torch.distributed", "tinyedge.encoders.registry", "tinyedge.ssl.registry")


def run_ranks(body: Callable[[int, str], None], folder: Path, count: int = 2) -> None:
    """Call a function of a module with its rank and a folder in each of `count` processes, and wait for all."""
    multiprocessing.set_forkserver_preload(list(PRELOADED))
    torch.multiprocessing.start_processes(body, (str(folder),), nprocs=count, start_method="forkserver")
