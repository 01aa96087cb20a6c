"""Where a report goes, and whether what lies there may be replaced."""

from collections.abc import Sequence
from pathlib import Path

from tinyedge.destination import check_file
from tinyedge.errors import ConfigError

GENERATOR = '<meta name="generator" content="tinyedge report '
"""By which a page is known as one of ours; it stands near its beginning."""

_HEAD_BYTES = 512


def default_page(sources: Sequence[Path]) -> Path:
    """Return where the report goes if nobody says: into the current folder, under the name of what it is about."""
    if len(sources) > 1:
        return Path("comparison.html")
    (source,) = sources
    stem = source.stem if source.suffix == ".tflite" else source.resolve().name
    return Path(f"{stem}-report.html")


def check_page(page: Path) -> None:
    """Refuse a path that cannot be written, or at which there is a file of somebody else.

    Raises:
        ConfigError: It is one of them.
    """
    check_file(page, "--out")
    if not page.exists() and not page.is_symlink():
        return
    try:
        with page.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError as error:
        raise ConfigError(f"cannot read {page} ({error.strerror}): give another path to --out") from error
    if GENERATOR.encode() not in head:
        raise ConfigError(
            f"{page} is not from tinyedge, which replaces only its own reports: give another path to --out"
        )
