"""`tinyedge web --check` as a function: a folder with a page that checks .tflite files, in Python by Pyodide."""

import hashlib
import importlib.util
import io
import json
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyedge.atomic import atomic_directory, atomic_path
from tinyedge.browser.page import check_page_html
from tinyedge.browser.site import PAGE_FILE, check_page
from tinyedge.errors import ConfigError

SCHEMA = 1
PARTS_FOLDER = "check"
_LISTED = "tinyedge.json"
_LOCK = "pyodide-lock.json"
_NEEDED = (_LOCK, "pyodide.mjs", "pyodide.asm.wasm", "python_stdlib.zip")
_EITHER = ("pyodide.asm.js", "pyodide.asm.mjs")  # Its name until version 0.29 and since.
_PACKAGES = ("tinyedge", "flatbuffers", "tflite")
_KINDS = (".py", ".toml")
_WORKER = Path(__file__).parent / "assets" / "check_worker.js"


@dataclass(frozen=True)
class CheckSiteReport:
    """A page that was written.

    Attributes:
        page: The page.
        files: How many files it loads, from a folder beside it.
        bytes: Of them and the page.
        python: The version of Python in it.
        seconds: What it took.
    """

    page: str
    files: int
    bytes: int
    python: str
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """As the documented JSON object."""
        return {"schema": SCHEMA, **vars(self)}


def write_check_site(folder: Path, pyodide: Path) -> CheckSiteReport:
    """Write the page and what it loads into a folder.

    Args:
        folder: Is created where it does not exist; a page of tinyedge's in it is replaced.
        pyodide: A folder with a release of Pyodide that has NumPy.

    Raises:
        ConfigError: The folder holds what tinyedge did not write, or the other no such release.
    """
    started = time.perf_counter()
    check_page(folder)
    _check_parts(folder / PARTS_FOLDER)
    lock, names = _release_files(pyodide)
    parts = {name: _read(pyodide / name) for name in names}
    parts |= {"worker.js": _WORKER.read_bytes(), "tinyedge.zip": _packages()}
    listed = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(parts.items())}
    parts[_LISTED] = json.dumps(listed, indent=1).encode()
    page = check_page_html()
    with atomic_directory(folder / PARTS_FOLDER) as temporary:
        for name, content in parts.items():
            (temporary / name).write_bytes(content)
    with atomic_path(folder / PAGE_FILE) as temporary:
        temporary.write_bytes(page)
    return CheckSiteReport(
        page=str(folder / PAGE_FILE),
        files=len(parts),
        bytes=sum(map(len, parts.values())) + len(page),
        python=str(lock["info"]["python"]),
        seconds=time.perf_counter() - started,
    )


def _check_parts(folder: Path) -> None:
    """Refuse a folder of that name with files that tinyedge did not write, or that were edited since."""
    if not folder.exists():
        return
    try:
        listed = json.loads((folder / _LISTED).read_text(encoding="utf-8"))
        for path in folder.iterdir():
            if path.name != _LISTED and listed[path.name] != hashlib.sha256(path.read_bytes()).hexdigest():
                raise KeyError(path.name)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{folder} is not as `tinyedge web --check` writes it: move it away, or give another folder to --out"
        ) from error


def _release_files(pyodide: Path) -> tuple[dict[str, Any], list[str]]:
    """Return what a release says of itself, and the names of the files that the page needs of it."""
    advice = "give --pyodide the folder of an unpacked release that has NumPy"
    either = [name for name in _EITHER if (pyodide / name).is_file()]
    missing = [name for name in _NEEDED if not (pyodide / name).is_file()] + ([] if either else [_EITHER[0]])
    if missing:
        raise ConfigError(f"{pyodide} is no release of Pyodide, as it has no {missing[0]}: {advice}")
    try:
        lock = json.loads((pyodide / _LOCK).read_text(encoding="utf-8"))
        packages, wanted, wheels = lock["packages"], ["numpy"], []
        while wanted:
            package = packages[wanted.pop()]
            wheels.append(str(package["file_name"]))
            wanted += [name for name in package["depends"] if packages[name]["file_name"] not in wheels]
        str(lock["info"]["python"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{pyodide / _LOCK} has no NumPy: {advice}") from error
    for name in wheels:
        if Path(name).name != name or not (pyodide / name).is_file():
            raise ConfigError(f"{pyodide} has no {name}, which its {_LOCK} names: {advice}")
    return lock, [*_NEEDED, *either, *wheels]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}): give another folder to --pyodide") from error


def _packages() -> bytes:
    """Return tinyedge and what its check imports as a zip file, the same for the same files."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name in _PACKAGES:
            found = importlib.util.find_spec(name)
            assert found is not None
            assert found.submodule_search_locations is not None
            root = Path(found.submodule_search_locations[0])
            for path in sorted(path for path in root.rglob("*") if path.suffix in _KINDS):
                entry = zipfile.ZipInfo(f"{name}/{path.relative_to(root).as_posix()}")
                archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED, 9)
    return made.getvalue()
