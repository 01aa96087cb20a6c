"""Whether a result can be written where a user wants it: asked before the work whose result it is."""

import tempfile
from pathlib import Path

from tinyedge.errors import ConfigError


def check_folder(folder: Path, advice: str) -> None:
    """Refuse a folder that cannot be made or written into; nothing is made.

    Args:
        folder: Where files will go. It need not exist.
        advice: What to do instead, as the end of a sentence.

    Raises:
        ConfigError: It, or what it lies in, is no folder or cannot be written to.
    """
    try:
        found = next(path for path in (folder.absolute(), *folder.absolute().parents) if _exists(path))
        if not found.is_dir():
            where = "" if found == folder.absolute() else f", so {folder} cannot be made"
            raise ConfigError(f"{found} is {'a file' if found.is_file() else 'no folder'}{where}: {advice}")
        with tempfile.TemporaryFile(dir=found):  # A mode alone does not tell of a file system that is read-only.
            pass
    except OSError as error:
        raise ConfigError(f"cannot write to {folder} ({error.strerror}): {advice}") from error


def check_file(file: Path, option: str) -> None:
    """Refuse a file that cannot be written; nothing is made.

    Args:
        file: Where a result will go. It need not exist, nor need its folder.
        option: That names it on the command line, such as "--out".

    Raises:
        ConfigError: It is a folder, or what it lies in is no folder or cannot be written to.
    """
    if file.is_dir():
        raise ConfigError(f"{file} is a folder: give the path of a file to {option}")
    check_folder(file.parent, f"give another path to {option}")


def _exists(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
