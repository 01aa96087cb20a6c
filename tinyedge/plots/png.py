"""A figure on its own, and its file.

Nothing here touches pyplot: it is slow to load, and what it draws with and which figures are open belong to whoever
called us, as a notebook.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tinyedge.atomic import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 110
_log = logging.getLogger(__name__)


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure of a size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def save_png(figure: "Figure", path: Path) -> None:
    """Write a figure; the same one gives the same bytes."""
    figure.tight_layout()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=_DPI, metadata={"Software": None})


@contextmanager
def pictures_of(what: str) -> Iterator[None]:
    """Log why a picture could not be drawn, and go on: what it shows is written by then, and is whole without it.

    Args:
        what: Whose picture, as in "the probe".
    """
    try:
        yield
    except Exception as error:  # A plot library fails in its own ways: fonts, backends, a cache it cannot write.
        _log.warning("no pictures of %s: %s: %s", what, type(error).__name__, error)
