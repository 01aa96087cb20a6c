"""One process at a time trains in a run."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tinyedge.errors import ConfigError
from tinyedge.folder_lock import lock_folder


@contextmanager
def locked_run(run: Path) -> Iterator[None]:
    """Keep other processes from training in a run while the block lasts.

    Args:
        run: A folder; where there is none, nothing is locked: what is wrong with it is said where it is written to.

    Raises:
        ConfigError: Another process has it.
    """
    try:
        lock = lock_folder(run)
    except BlockingIOError as error:
        raise ConfigError(
            f"another process is training in {run}: wait until it ends, or give another folder to --out"
        ) from error
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)


def is_training(run: Path) -> bool:
    """Return whether another process of this machine trains in a run."""
    try:
        lock = lock_folder(run)
    except BlockingIOError:
        return True
    if lock is not None:
        os.close(lock)
    return False
