"""A figure on its own, and its file.

Nothing here touches pyplot: it is slow to load, and what it draws with and which figures are open belong to whoever
called us, as a notebook.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from tinyedge.atomic import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 110


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure of a size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def save_png(figure: "Figure", path: Path) -> None:
    """Write a figure; the same one gives the same bytes."""
    figure.tight_layout()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=_DPI, metadata={"Software": None})
