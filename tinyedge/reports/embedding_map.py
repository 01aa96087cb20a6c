"""Test images in the plane, those that the encoder finds alike side by side, with thumbnails where there is room."""

from dataclasses import dataclass

from tinyedge.data.registry import images_option
from tinyedge.reports.gallery import Gallery
from tinyedge.reports.panel import Missing
from tinyedge.reports.subject import Subject
from tinyedge.shell import command_line
from tinyedge.training.run import CONFIG_FILE

# Per cent of the map's width and height that a thumbnail keeps for itself on a wide page, and on a narrow one.
_WIDE, _NARROW = (3.6, 5.0), (11.0, 13.0)


@dataclass(frozen=True)
class Place:
    """An image.

    Attributes:
        x: Per cent from the left.
        y: Per cent from the top.
        label: Its class.
        wrong: Whether it was taken for another.
        text: What it is, and what it was taken for.
        left: Of its thumbnail in the sheet, in pixels.
        top: Likewise.
        shown: Where its thumbnail has room: "always", "wide" on wide pages alone, or "".
    """

    x: float
    y: float
    label: int
    wrong: bool
    text: str
    left: int
    top: int
    shown: str


@dataclass(frozen=True)
class EmbeddingDrawing:
    """The map.

    Attributes:
        title: What it is of.
        places: By class.
        classes: Names, and how many images of the map each has.
        side: Of a thumbnail, in pixels.
        columns: Thumbnails in a row of the sheet.
        sheet: The thumbnails as a data URL.
    """

    title: str
    places: tuple[Place, ...]
    classes: tuple[tuple[str, int], ...]
    side: int
    columns: int
    sheet: str


def embedding_map(subject: Subject) -> EmbeddingDrawing | Missing | None:
    """Return the map that a run's last linear probe left; None for what is no run."""
    source = subject.source
    if source.run is None:
        return None
    gallery = source.gallery
    if gallery is None or not gallery.points:
        probe = command_line("tinyedge", "probe", source.given, *images_option(source.run / CONFIG_FILE))
        return Missing("No linear probe has left a map of this run's test images.", probe)
    where = [(round(3 + 94 * one.x, 2), round(96 - 92 * one.y, 2)) for one in gallery.points]
    always = _apart(where, _NARROW, set())
    wide = _apart(where, _WIDE, always)
    places = [
        Place(
            *where[index],
            label=one.label,
            wrong=one.label != one.predicted,
            text=_text(gallery, one.label, one.predicted),
            left=gallery.side * (index % gallery.columns),
            top=gallery.side * (index // gallery.columns),
            shown="always" if index in always else "wide" if index in wide else "",
        )
        for index, one in enumerate(gallery.points)
    ]
    counts = [sum(one.label == index for one in gallery.points) for index in range(len(gallery.classes))]
    return EmbeddingDrawing(
        title=f"{gallery.mapping} of {len(places):,} test images’ features",
        places=tuple(sorted(places, key=lambda place: place.label)),
        classes=tuple(zip(gallery.classes, counts, strict=True)),
        side=gallery.side,
        columns=gallery.columns,
        sheet=f"data:image/webp;base64,{gallery.thumbnails}",
    )


def _text(gallery: Gallery, label: int, predicted: int) -> str:
    name = gallery.classes[label]
    return name if label == predicted else f"{name}, taken for {gallery.classes[predicted]}"


def _apart(where: list[tuple[float, float]], room: tuple[float, float], kept: set[int]) -> set[int]:
    """Choose places, in order and after those that are kept, that are apart from all chosen before."""
    cells: dict[tuple[int, int], list[int]] = {}
    chosen = set()
    for index in (*sorted(kept), *range(len(where))):
        x, y = where[index]
        column, row = int(x / room[0]), int(y / room[1])
        near = [
            other
            for across in (-1, 0, 1)
            for down in (-1, 0, 1)
            for other in cells.get((column + across, row + down), ())
        ]
        if all(abs(where[n][0] - x) >= room[0] or abs(where[n][1] - y) >= room[1] for n in near):
            cells.setdefault((column, row), []).append(index)
            chosen.add(index)
    return chosen
