"""What several tests need and none changes, made once by whichever process of the session asks first."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest


class OncePerSession:
    """A folder that all workers of a session share.

    Args:
        tmp_path_factory: pytest's; the folder goes the way of the other temporary ones.
    """

    def __init__(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        own = tmp_path_factory.getbasetemp()
        # Each worker of xdist has a folder of its own below that of the session.
        self._root = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "once"
        self._root.mkdir(exist_ok=True)

    def folder(self, name: str, fill: Callable[[Path], object]) -> Path:
        """The folder of that name, filled by the first to ask for it; the others wait.

        Args:
            name: Of what is in it: two that ask for one name have to mean the same.
            fill: Puts it into the empty folder that it is given. Where it fails, the next one tries again.
        """
        folder = self._root / name
        whole = self._root / f"{name}.whole"
        with (self._root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not whole.exists():
                folder.mkdir(exist_ok=True)
                fill(folder)
                whole.touch()
        return folder
