"""One process at a time trains in a run."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tinyedge.errors import ConfigError


@contextmanager
def locked_run(run: Path) -> Iterator[None]:
    """Keep other processes from training in a run while the block lasts.

    The folder itself is locked: the lock goes with its process, whatever ends that, and no file is left behind. A file
    system without locks has none.

    Args:
        run: A folder; where there is none, nothing is locked.

    Raises:
        ConfigError: Another process has it.
    """
    try:
        import fcntl

        descriptor = os.open(run, os.O_RDONLY)
    except (ImportError, OSError):  # Absent, or not to be opened: what is wrong with it is said where it is written to.
        yield
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno == errno.EWOULDBLOCK:
                raise ConfigError(
                    f"another process is training in {run}: wait until it ends, or give another folder to --out"
                ) from error
        yield
    finally:
        os.close(descriptor)
