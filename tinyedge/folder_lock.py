"""A lock on a folder that goes with its process, whatever ends that, and leaves no file behind."""

import os
from pathlib import Path


def lock_folder(folder: Path) -> int | None:
    """Lock a folder until the descriptor returned is closed.

    Returns:
        The descriptor; None where the folder, its file system or this system has no locks.

    Raises:
        BlockingIOError: Another process has locked it, or this one by another descriptor.
    """
    try:
        import fcntl

        descriptor = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            raise
        return None
    return descriptor
