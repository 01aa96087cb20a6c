"""What a report shows of a probe's test images: where each is in the plane, what it was taken for, and how it looks."""

import base64
import io
import json
from pathlib import Path

import numpy as np

from tinyedge.atomic import write_text
from tinyedge.plots.confusion import confusion_matrix
from tinyedge.plots.embedding import EmbeddingMap

SCHEMA = 1

_SIDE = 24  # Pixels of a thumbnail: of 2,000, some hundred kilobytes.
_QUALITY = 60


def write_gallery(
    path: Path,
    title: str,
    embedding: EmbeddingMap,
    pixels: np.ndarray,
    labels: np.ndarray,
    predicted: np.ndarray,
    classes: tuple[str, ...],
) -> None:
    """Write the gallery of a probe as JSON: `title`, `classes`, `confusion`, `mapping`, `points`, and thumbnails.

    The thumbnails lie side by side in one picture, `columns` in a row, each `side` pixels wide and high.

    Args:
        path: The file.
        title: What was measured.
        embedding: Of the test images.
        pixels: (n, H, W, C) uint8, RGB, or grey with C of 1: those of the map.
        labels: (N,) int true class of every test image.
        predicted: (N,) int class that each was taken for.
        classes: Names.
    """
    columns = max(1, int(np.ceil(np.sqrt(len(pixels)))))
    low, high = embedding.points.min(0), embedding.points.max(0)
    places = (embedding.points - low) / np.maximum(high - low, 1e-12)
    of_map = labels[embedding.chosen], predicted[embedding.chosen]
    points = [
        [round(float(x), 4), round(float(y), 4), int(label), int(taken_for)]
        for (x, y), label, taken_for in zip(places, *of_map, strict=True)
    ]
    gallery = {
        "schema": SCHEMA,
        "title": title,
        "classes": list(classes),
        "confusion": confusion_matrix(predicted, labels, len(classes)).tolist(),
        "mapping": embedding.mapping,
        "points": points,
        "side": _SIDE,
        "columns": columns,
        "thumbnails": base64.b64encode(_sheet(pixels, columns)).decode(),
    }
    write_text(path, json.dumps(gallery))


def _sheet(pixels: np.ndarray, columns: int) -> bytes:
    """Return thumbnails of images (n, H, W, C), row by row, as one WebP."""
    from PIL import Image

    rows = max(1, -(-len(pixels) // columns))
    sheet = Image.new("RGB", (columns * _SIDE, rows * _SIDE))
    for index, image in enumerate(np.broadcast_to(pixels, (*pixels.shape[:3], 3))):
        row, column = divmod(index, columns)
        sheet.paste(Image.fromarray(image).resize((_SIDE, _SIDE)), (column * _SIDE, row * _SIDE))
    stream = io.BytesIO()
    sheet.save(stream, "WEBP", quality=_QUALITY)
    return stream.getvalue()
