"""One process at a time trains in a run."""

import os
import time
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
        lock = _lock(run)
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
    return is_locked(run) is True


def is_locked(run: Path) -> bool | None:
    """Return whether a process has a run, as `locked_run` gives it; None where there are no locks to tell."""
    try:
        lock = lock_folder(run)
    except BlockingIOError:
        return True
    if lock is None:
        return None
    os.close(lock)
    return False


def _lock(run: Path) -> int | None:
    """Lock a run; whoever looks at it by `is_locked` has it for microseconds, and is waited for."""
    try:
        return lock_folder(run)
    except BlockingIOError:
        time.sleep(0.05)
        return lock_folder(run)
