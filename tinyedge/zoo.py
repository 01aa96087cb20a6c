"""The zoo: trained encoders that come with tinyedge, by name."""

import difflib
from functools import cache
from pathlib import Path

_MANIFEST = "export.json"


@cache
def _entries() -> dict[str, Path]:
    """Every entry's folder by its name: in the package when it is installed, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    for root in (package / "_models", package.parent / "models"):
        found = {path.parent.name: path.parent for path in sorted(root.glob(f"*/{_MANIFEST}"))}
        if found:
            return found
    return {}


def zoo_names() -> tuple[str, ...]:
    """Name every model of the zoo."""
    return tuple(_entries())


def locate(source: Path | str) -> Path:
    """Return what a user names: a file or folder of theirs, or the folder of the zoo's model of that name.

    Args:
        source: A path, or one of `zoo_names()`. What exists under that name comes before the zoo.
    """
    path = Path(source)
    return path if path.exists() else _entries().get(str(source), path)


def zoo_hint(source: Path | str) -> str:
    """Return the end of a sentence about what could have been named in place of `source`, which is not there."""
    if not zoo_names():
        return ""
    close = difflib.get_close_matches(str(source), zoo_names(), n=1)
    meant = f"; did you mean {close[0]}?" if close else ""
    return f", or a model of the zoo: {', '.join(zoo_names())}{meant}"
