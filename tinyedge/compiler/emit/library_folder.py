"""A folder of compiled models, where tinyedge replaces and removes what it wrote and nothing else.

`tinyedge.json` in it says which models there are, which files each of them needs, and the SHA-256 of every file as it
was written. A file that has another hash by now was edited, and one without a hash is somebody else's.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from tinyedge.atomic import atomic_path, write_json
from tinyedge.compiler.emit.library_layout import USUAL_LAYOUTS, folder_files
from tinyedge.errors import ConfigError
from tinyedge.version import __version__

RECORD_FILE = "tinyedge.json"
_SCHEMA = 1


@dataclass(frozen=True)
class ModelRecord:
    """A model of a folder.

    Attributes:
        model: Name of the .tflite file.
        sha256: Of that file.
        instruction_set: Of its kernels.
        files: What it needs, some of it together with other models.
        layouts: The build systems that it is made for.
    """

    model: str
    sha256: str
    instruction_set: str
    files: tuple[str, ...]
    layouts: tuple[str, ...] = USUAL_LAYOUTS


@dataclass(frozen=True)
class FolderRecord:
    """The contents of `tinyedge.json`.

    Attributes:
        models: By what they are called in C, sorted.
        files: The SHA-256 of every file by its path.
    """

    models: dict[str, ModelRecord] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


def read_record(directory: Path) -> FolderRecord:
    """Read what a folder says of itself; an empty record where it says nothing.

    Raises:
        ConfigError: `tinyedge.json` is damaged or of another schema.
    """
    path = directory / RECORD_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] != _SCHEMA:
            raise ValueError(f"schema {content['schema']}")
        models = {name: _model_record(one) for name, one in content["models"].items()}
        files = {str(path): str(sha256) for path, sha256 in content["files"].items()}
        needed = {path for model in models.values() for path in model.files}
        outside = [path for path in files if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts]
        if not needed <= files.keys() or outside:
            raise ValueError("files are missing or not in the folder")
        return FolderRecord(models, files)
    except (FileNotFoundError, NotADirectoryError):
        return FolderRecord()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path} does not say what tinyedge wrote ({error}): give a new or empty folder with --out"
        ) from error


def put_model(
    directory: Path, name: str, model: ModelRecord, files: Mapping[PurePosixPath, bytes]
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Add a model to a folder, or replace the one of that name; the files that no model needs any more go.

    Where one file cannot be written none is. A file that is as it shall be is not touched, so that it need not be
    compiled again. The record comes last: after an interruption the same call completes the work.

    Args:
        directory: Is created where it does not exist.
        name: What the model is called in C.
        model: What the folder shall say of it, its files left out.
        files: What the model needs, by paths below the folder.

    Returns:
        The size in bytes of each file that tinyedge has in the folder, by path; and what else is in its folders, those
        of somebody else with a "/" at the end.

    Raises:
        ConfigError: `directory` is a file; a file to replace or remove was edited or is somebody else's; or another
            model of the folder needs another version of a kernel.
    """
    if directory.exists() and not directory.is_dir():
        raise ConfigError(f"{directory} is a file: give a folder for the C sources with --out")
    former = read_record(directory)
    own = {path.as_posix(): content for path, content in files.items()}
    others = {key: one for key, one in former.models.items() if key != name}
    _check_shared(directory, own, others, former)
    models = dict(sorted({**others, name: replace(model, files=tuple(sorted(own)))}.items()))
    needed = sorted({path for one in models.values() for path in one.files})
    shared = folder_files({key: one.layouts for key, one in models.items()}, needed)
    own |= {path.as_posix(): content for path, content in shared.items()}
    kept = {path: former.files[path] for one in others.values() for path in one.files if path not in own}
    obsolete = former.files.keys() - own.keys() - kept.keys()
    for path, content in own.items():
        _check_replaceable(directory, path, former, content)
    for path in obsolete:
        _check_replaceable(directory, path, former)

    with contextlib.ExitStack() as all_or_none:
        for path, content in own.items():
            if path not in former.files or not _holds(directory / path, content):
                all_or_none.enter_context(atomic_path(directory / path)).write_bytes(content)
    for path in sorted(obsolete, reverse=True):
        _remove(directory, path)
    hashes = dict(sorted((kept | {path: _sha256(content) for path, content in own.items()}).items()))
    record = FolderRecord(models, hashes)
    write_json(directory / RECORD_FILE, {"schema": _SCHEMA, "version": __version__, **asdict(record)})
    written = [*hashes, RECORD_FILE]
    sizes = {path: (directory / path).stat().st_size for path in sorted(written)}
    return sizes, tuple(sorted(_others(directory, sizes)))


def _model_record(said: dict[str, Any]) -> ModelRecord:
    """What the file says of a model; a version without layouts wrote the usual ones."""
    layouts = tuple(said.get("layouts", USUAL_LAYOUTS))
    return ModelRecord(**{**said, "files": tuple(said["files"]), "layouts": layouts})


def _check_shared(
    directory: Path, own: Mapping[str, bytes], others: Mapping[str, ModelRecord], former: FolderRecord
) -> None:
    """Make sure that the other models of the folder go on as they are with what this one brings."""
    for name, other in others.items():
        for path in other.files:
            if path in own and former.files.get(path) != _sha256(own[path]):
                raise ConfigError(
                    f"{directory} holds the model {name} of another version of tinyedge, whose {path} is not that of "
                    f"{__version__}: compile all models again into a new folder with --out"
                )


def _check_replaceable(directory: Path, path: str, former: FolderRecord, content: bytes | None = None) -> None:
    """Make sure that a file is as tinyedge wrote it, or is what it would write now."""
    target = directory / path
    if not target.exists():
        return
    if not target.is_file():
        raise ConfigError(f"{target} is in the way and no file: give another folder with --out")
    found = _sha256(target.read_bytes())
    if found == former.files.get(path) or (content is not None and found == _sha256(content)):
        return
    if path in former.files:
        raise ConfigError(
            f"{target} was edited after tinyedge wrote it: delete it to have it written again, or give another folder "
            "with --out"
        )
    raise ConfigError(f"{target} is not a file that tinyedge wrote: move it away, or give another folder with --out")


def _remove(directory: Path, path: str) -> None:
    """Remove a file, and the folders that it leaves empty."""
    (directory / path).unlink(missing_ok=True)
    for parent in PurePosixPath(path).parents[:-1]:
        with contextlib.suppress(OSError):  # It holds something.
            (directory / parent).rmdir()


def _others(directory: Path, own: Mapping[str, int]) -> Iterator[str]:
    """What somebody else has put beside the files of tinyedge, in the same folders."""
    folders = {parent for path in own for parent in PurePosixPath(path).parents}
    for folder in folders:
        for entry in (directory / folder).iterdir():
            path = folder / entry.name
            if path not in folders and path.as_posix() not in own:
                yield f"{path.as_posix()}/" if entry.is_dir() else path.as_posix()


def _holds(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
