"""`gallery.json` of a probe, read: test images in the plane, their classes and their thumbnails."""

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyedge.errors import CheckpointError

_SCHEMA = 1  # `tinyedge.plots.gallery`, which needs NumPy and Pillow, writes it.
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_MOST_POINTS = 10_000


@dataclass(frozen=True)
class GalleryPoint:
    """A test image.

    Attributes:
        x: In the plane, in [0, 1].
        y: Likewise, upwards.
        label: Its class.
        predicted: What it was taken for.
    """

    x: float
    y: float
    label: int
    predicted: int


@dataclass(frozen=True)
class Gallery:
    """A probe's test images; see `tinyedge.plots.gallery.write_gallery`.

    Attributes:
        title: What was measured.
        classes: Names.
        confusion: Counts: a row a true class, a column a predicted one.
        mapping: What put the images where they are.
        points: Those in the plane.
        side: Of a thumbnail, in pixels.
        columns: Thumbnails in a row.
        thumbnails: A WebP of all, in base64.
    """

    title: str
    classes: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    mapping: str
    points: tuple[GalleryPoint, ...]
    side: int
    columns: int
    thumbnails: str


def read_gallery(path: Path) -> Gallery | None:
    """Return a run's gallery; None where it has none.

    Raises:
        CheckpointError: The file is corrupt.
    """
    if not path.is_file():
        return None
    try:
        return _gallery(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path} is corrupt ({error}): delete it and probe again") from error


def _gallery(content: dict[str, Any]) -> Gallery:
    if content["schema"] != _SCHEMA:
        raise ValueError(f"its schema is not {_SCHEMA}")
    gallery = Gallery(
        title=str(content["title"]),
        classes=tuple(map(str, content["classes"])),
        confusion=tuple(tuple(map(int, row)) for row in content["confusion"]),
        mapping=str(content["mapping"]),
        points=tuple(GalleryPoint(float(x), float(y), int(a), int(b)) for x, y, a, b in content["points"]),
        side=int(content["side"]),
        columns=int(content["columns"]),
        thumbnails=str(content["thumbnails"]),
    )
    count = len(gallery.classes)
    if {len(gallery.confusion), *map(len, gallery.confusion)} - {count}:
        raise ValueError("its confusion matrix is not square")
    if len(gallery.points) > _MOST_POINTS or gallery.side < 1 or gallery.columns < 1:
        raise ValueError("its points are too many, or its thumbnails have no size")
    for point in gallery.points:
        if not (0 <= point.label < count and 0 <= point.predicted < count):
            raise ValueError("a point is of no class")
        if not (math.isfinite(point.x) and math.isfinite(point.y)):
            raise ValueError("a point is nowhere")
    if not _BASE64.fullmatch(gallery.thumbnails):
        raise ValueError("its thumbnails are no base64")
    return gallery
