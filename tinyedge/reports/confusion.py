"""Which class is taken for which."""

from dataclasses import dataclass

from tinyedge.data.registry import images_option
from tinyedge.reports.panel import Missing
from tinyedge.reports.subject import Subject
from tinyedge.shell import command_line
from tinyedge.training.run import CONFIG_FILE

_MOST_NAMES = 20
_MOST_CONFUSIONS = 10


@dataclass(frozen=True)
class ConfusionCell:
    """Images of one class taken for another, or for itself.

    Attributes:
        count: How many.
        share: Per cent of the true class.
    """

    count: int
    share: float


@dataclass(frozen=True)
class ConfusionRow:
    """A true class.

    Attributes:
        name: Of the class.
        cells: One a predicted class.
    """

    name: str
    cells: tuple[ConfusionCell, ...]


@dataclass(frozen=True)
class Confusion:
    """Which class is taken for which.

    Attributes:
        title: What was measured.
        rows: One a class; none where they are too many to be read.
        most: True class, predicted class, count and per cent of the true class, the most frequent first.
    """

    title: str
    rows: tuple[ConfusionRow, ...]
    most: tuple[tuple[str, str, int, float], ...]


def confusion(subject: Subject) -> Confusion | Missing | None:
    """Return what a run's last linear probe left; None for what is no run."""
    if subject.source.run is None:
        return None
    gallery = subject.source.gallery
    if gallery is None:
        probe = command_line(
            "tinyedge", "probe", subject.source.given, *images_option(subject.source.run / CONFIG_FILE)
        )
        return Missing("No linear probe has left a confusion matrix of this run.", probe)
    rows = []
    for name, counts in zip(gallery.classes, gallery.confusion, strict=True):
        total = sum(counts) or 1
        rows.append(ConfusionRow(name, tuple(ConfusionCell(count, 100 * count / total) for count in counts)))
    pairs = [
        (row.name, gallery.classes[column], cell.count, cell.share)
        for true, row in enumerate(rows)
        for column, cell in enumerate(row.cells)
        if column != true and cell.count
    ]
    return Confusion(
        title=gallery.title,
        rows=tuple(rows) if len(rows) <= _MOST_NAMES else (),
        most=tuple(sorted(pairs, key=lambda pair: -pair[2])[:_MOST_CONFUSIONS]),
    )
