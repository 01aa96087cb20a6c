"""Data sets that are folders of image files."""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from tinyedge.data.dataset import ImageDataset, ImageSplit, build_dataset
from tinyedge.data.images import decode_files, native_short_side
from tinyedge.data.layout import Listing, list_folder
from tinyedge.data.white_level import find_white_level
from tinyedge.errors import DataError

_SMALLEST_SIZE, _LARGEST_SIZE, _SIZE_STEP = 32, 96, 32
_MOST_NAMED = 3
_log = logging.getLogger(__name__)


def load_folder(
    root: Path, *, image_size: int | None = None, name: str | None = None, white_level: int | None = None
) -> ImageDataset:
    """Load a folder of images, laid out as `tinyedge.data.layout` knows it, into memory.

    Broken files are left out and named.

    Args:
        root: The folder.
        image_size: S; the short side is resized to it and the centre is cropped. None takes the multiple of 32 nearest
            to the most common short side of the training images, from 32 to 96.
        name: The data set's name; the folder's by default.
        white_level: White of 16-bit greyscale files; None takes it from those of the train split, see
            `find_white_level`.

    Raises:
        DataError: See `list_folder`; or more than half of the files are broken, or all of a split.
    """
    layout = list_folder(root)
    if image_size is None:
        image_size = _default_size(layout.train.files)
    white_level = white_level or find_white_level(layout.train.files)
    train, broken = _load(layout.train, layout.classes, image_size, white_level)
    test = None
    if layout.test is not None:
        test, broken_test = _load(layout.test, layout.classes, image_size, white_level)
        broken += broken_test
    total = len(layout.train.files) + (len(layout.test.files) if layout.test is not None else 0)
    _check_broken(root, broken, total, len(train) == 0 or (test is not None and len(test) == 0))
    skipped = [path for path, _ in broken]
    named = name or root.resolve().name
    return build_dataset(named, train, test, layout.classes, skipped, layout.held_out, white_level)


def _default_size(files: Sequence[Path]) -> int:
    side = native_short_side(files) or _SMALLEST_SIZE
    nearest = (side + _SIZE_STEP // 2) // _SIZE_STEP * _SIZE_STEP
    return min(max(nearest, _SMALLEST_SIZE), _LARGEST_SIZE)


def _load(
    listing: Listing, classes: Sequence[str], image_size: int, white_level: int | None
) -> tuple[ImageSplit, list[tuple[str, str]]]:
    decoded = decode_files(listing.files, image_size, white_level)
    labels = None
    if listing.class_names is not None:
        index_of: dict[str | None, int] = {name: index for index, name in enumerate(classes)}
        indices = [index_of.get(name, -1) for name in listing.class_names]
        labels = torch.tensor(indices, dtype=torch.int64)[decoded.kept]
    broken = [(str(listing.files[index]), reason) for index, reason in decoded.broken]
    return ImageSplit(decoded.images, labels), broken


def _check_broken(root: Path, broken: list[tuple[str, str]], total: int, nothing_left: bool) -> None:
    if not broken:
        return
    more = f"; and {len(broken) - _MOST_NAMED} more" if len(broken) > _MOST_NAMED else ""
    named = "; ".join(f"{path} ({reason})" for path, reason in broken[:_MOST_NAMED]) + more
    if nothing_left or 2 * len(broken) > total:
        raise DataError(f"{len(broken)} of {total} images in {root} are broken: {named}; delete or replace them")
    _log.warning("left out %d broken of %d images in %s: %s", len(broken), total, root, named)
