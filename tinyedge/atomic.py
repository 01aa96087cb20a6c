"""Files that are either whole or absent: everything is written to a temporary name and renamed."""

import ctypes
import glob
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tinyedge.errors import TinyEdgeError
from tinyedge.folder_lock import lock_folder

_FORMER = ".former"
_UNFINISHED = ".tinyedge"
# Other machines may not see a lock: an unfinished folder in which nothing was made for so long is nobody's.
_ABANDONED_AFTER_S = 24 * 3600


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that replaces it when the block ends without an error.

    Args:
        path: The final file. Its folder is created.

    Raises:
        TinyEdgeError: The disk is full or the folder cannot be written; `path` is as it was.
    """
    with atomic_paths(path) as (temporary,):
        yield temporary


@contextmanager
def atomic_paths(*paths: Path) -> Iterator[tuple[Path, ...]]:
    """Yield temporary paths that replace files which belong together, one after the other, once all are written.

    Args:
        paths: The final files. Their folders are created.

    Raises:
        TinyEdgeError: The disk is full or a folder cannot be written.
    """
    temporaries: list[Path] = []
    path = paths[0]
    try:
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
            os.close(descriptor)
            temporaries.append(Path(name))
        yield tuple(temporaries)
        for temporary in temporaries:
            temporary.chmod(0o644)
            with temporary.open("rb") as stream:
                os.fsync(stream.fileno())
        for path, temporary in zip(paths, temporaries, strict=True):
            temporary.replace(path)
    except OSError as error:
        raise TinyEdgeError(f"cannot write {path}: {error.strerror}; free the disk or choose another folder") from error
    finally:
        for temporary in temporaries:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path` that replaces it when the block ends without an error.

    Where `path` is a link, what it leads to is replaced. What a process that was killed left a day ago is removed.

    Raises:
        TinyEdgeError: It cannot be written, or something else than a folder has that name.
    """
    path = path.resolve() if path.is_symlink() else path
    if path.exists() and not path.is_dir():
        raise TinyEdgeError(f"{path} is no folder; move it away or choose another")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _restore_former(path)
        _remove_abandoned(path)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=_UNFINISHED, dir=path.parent))
    except OSError as error:
        raise TinyEdgeError(f"cannot write {path}: {error.strerror}; free the disk or choose another folder") from error
    lock = lock_folder(temporary)
    try:
        yield temporary
        temporary.chmod(0o755)
        if not path.exists():
            temporary.replace(path)
        elif not _exchange(temporary, path):
            # A folder cannot be renamed over a full one: the old one steps aside, and is whole until the new one is.
            former = temporary.with_name(f"{temporary.name}{_FORMER}")
            path.replace(former)
            temporary.replace(path)
            shutil.rmtree(former)
    except OSError as error:
        raise TinyEdgeError(f"cannot write {path}: {error.strerror}; free the disk or choose another folder") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders change names at once; False where the system cannot."""
    libc = ctypes.CDLL(None)
    if sys.platform != "linux" or not hasattr(libc, "renameat2"):
        return False
    here, exchange = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of <fcntl.h> and <linux/fs.h>
    return int(libc.renameat2(here, os.fsencode(one), here, os.fsencode(other), exchange)) == 0


def _restore_former(path: Path) -> None:
    """Give a folder its name back where a process was killed between the two renames of `atomic_directory`."""
    found = sorted(path.parent.glob(f".{glob.escape(path.name)}.*{_FORMER}"), key=lambda former: former.stat().st_mtime)
    if found and not path.exists():
        found[-1].replace(path)


def _remove_abandoned(path: Path) -> None:
    """Remove the unfinished folders beside one whose processes have gone: they are locked no more."""
    random_part = "[a-z0-9_]" * 8  # As `tempfile` makes it.
    for folder in path.parent.glob(f".{glob.escape(path.name)}.{random_part}{_UNFINISHED}"):
        with suppress(OSError):  # It is another user's or in use, or finished at this moment.
            if folder.is_symlink() or time.time() - folder.stat().st_mtime < _ABANDONED_AFTER_S:
                continue
            lock = lock_folder(folder)
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` as indented JSON with sorted keys left as given, whole or not at all."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """Return `value` as indented JSON with sorted keys left as given."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"
