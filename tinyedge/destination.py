"""Whether a result can be written where a user wants it: asked before the work whose result it is."""

import os
import re
import tempfile
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from tinyedge.errors import ConfigError

# What file browsers, network file systems and notebooks leave in any folder that is looked at.
_LITTER = (".DS_Store", "._*", "Thumbs.db", "desktop.ini", ".nfs*", ".ipynb_checkpoints")
# A file that was being written when the power went, as `tinyedge.atomic` names it.
_HALF_WRITTEN = re.compile(r"\.(.+)\.[a-z0-9_]{8}")


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


def check_file(file: Path, option: str, suffix: str | None = None) -> None:
    """Refuse a file that cannot be written; nothing is made.

    Args:
        file: Where a result will go. It need not exist, nor need its folder.
        option: That names it on the command line, such as "--out".
        suffix: What its name has to end in, such as ".tflite"; None is anything.

    Raises:
        ConfigError: It is a folder, or what it lies in is no folder or cannot be written to; or it has another suffix.
    """
    if file.is_dir():
        raise ConfigError(f"{file} is a folder: give the path of a file to {option}")
    check_folder(file.parent, f"give another path to {option}")
    if suffix is not None and file.suffix.lower() != suffix:
        raise ConfigError(f"{file} does not end in {suffix}: name a {suffix} file with {option}")


def written_parts(folder: Path, patterns: Sequence[str], advice: str) -> tuple[list[Path], list[Path]]:
    """The folders and the files in a folder that tinyedge will replace: refused is one that holds anything else.

    Args:
        folder: May be absent, and then holds nothing.
        patterns: Of the files that tinyedge writes there, from the folder on, such as "plots/*.png".
        advice: What to do instead, as the end of a sentence.

    Returns:
        The folders, outer ones before inner ones, and the files; both without `folder` itself.

    Raises:
        ConfigError: A file, folder or link in it is none that tinyedge writes, or it cannot be read.
    """
    wanted = [Path(pattern).parts for pattern in patterns]
    folders: list[Path] = []
    files: list[Path] = []

    def refuse(error: OSError) -> None:
        raise ConfigError(f"cannot read {error.filename} ({error.strerror}); {advice}") from error

    for place, inner, names in os.walk(folder, onerror=refuse) if folder.exists() else ():
        for name in sorted((*inner, *names)):
            path = Path(place, name)
            parts = path.relative_to(folder).parts
            is_folder = path.is_dir()
            if any(fnmatchcase(part, litter) for part in parts for litter in _LITTER) and not path.is_symlink():
                (folders if is_folder else files).append(path)
                continue
            half_written = None if is_folder else _HALF_WRITTEN.fullmatch(name)
            whole = parts if half_written is None else (*parts[:-1], half_written[1])
            known = (pattern[: len(whole)] for pattern in wanted if (len(pattern) > len(whole)) == is_folder)
            if path.is_symlink() or not any(_matches(whole, pattern) for pattern in known):
                raise ConfigError(f"{path} is not from tinyedge, which replaces only what is; {advice}")
            (folders if is_folder else files).append(path)
    return folders, files


def _matches(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    return len(parts) == len(pattern) and all(map(fnmatchcase, parts, pattern))


def _exists(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
