"""Checkpoints: whole or absent, and enough to go on to the same numbers."""

import io
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from tinyedge.atomic import atomic_path
from tinyedge.errors import CheckpointError

_VERSION = 1


@dataclass(frozen=True)
class Checkpoint:
    """State of a run between two steps.

    Data order, augmentation and corruption follow from the seed and the step's number (`tinyedge.training.batches`), so
    they need no state here.

    Attributes:
        step: Steps done.
        method: State of encoder, everything discarded later, and schedulers.
        optimizer: State of the optimizer.
        window: Sums of the metrics since the last line of the log, by name.
        window_steps: Steps in those sums.
        elapsed_s: Training time so far.
        average: Averaged weights of the method, by name; empty where none are kept.
        cpu_s: CPU time of that on all threads of the first rank; a teacher's cached features are in it.
        threads: On how many of a CPU PyTorch computed: sums round in another order on others. 0 where an earlier
            version wrote the checkpoint.
    """

    step: int
    method: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    window: dict[str, torch.Tensor]
    window_steps: int
    elapsed_s: float
    average: dict[str, torch.Tensor] = field(default_factory=dict)
    cpu_s: float = 0.0
    threads: int = 0


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, whole or not at all.

    Raises:
        TinyEdgeError: The disk is full; the checkpoint that was there is still there.
    """
    # Through memory: torch's own writer reports a full disk as an unspecific RuntimeError.
    buffer = io.BytesIO()
    # `asdict` would copy every tensor.
    torch.save({"version": _VERSION, **vars(checkpoint)}, buffer)
    # The view is given back here: where writing fails, the error keeps the frame, and collecting a view with its
    # buffer crashes Python 3.12.1 (python/cpython#111049). `Path.write_bytes` would keep one of its own.
    with atomic_path(path) as temporary, temporary.open("wb") as stream, buffer.getbuffer() as content:
        stream.write(content)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU.

    Raises:
        CheckpointError: The file is missing, truncated, or no checkpoint of this version.
    """
    hint = "train again with --overwrite"
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist; {hint}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        version = state.pop("version")
        checkpoint = Checkpoint(**state)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, KeyError, TypeError, ValueError, AttributeError):
        raise CheckpointError(f"{path} is corrupt or no checkpoint of tinyedge; {hint}") from None
    if version != _VERSION:
        raise CheckpointError(f"{path} has version {version}, and this tinyedge reads version {_VERSION}; {hint}")
    return checkpoint
