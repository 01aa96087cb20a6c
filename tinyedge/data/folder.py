"""Data sets that are folders of image files."""

import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from tinyedge.data.dataset import ImageDataset, ImageSplit, build_dataset
from tinyedge.data.images import IMAGE_SUFFIXES, decode_files, native_short_side
from tinyedge.errors import DataError

_MAX_BROKEN = 0.01
_TEST_FOLDERS = ("test", "val", "valid", "validation")
_SPLIT_WORDS = frozenset({"train", "training", "trainset", "trainval", *_TEST_FOLDERS, "testing", "testset"})
_WORD = re.compile("[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_SMALLEST_SIZE, _LARGEST_SIZE, _SIZE_STEP = 32, 96, 32
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Listing:
    """Files of one split, sorted, and the class name of each, or None where there are no class folders."""

    files: list[Path]
    class_names: list[str] | None


def load_folder(root: Path, *, image_size: int | None = None, name: str | None = None) -> ImageDataset:
    """Load a folder of images into memory.

    With a folder `train/`, each folder below it is a class, whatever is nested in it; the test split is the first of
    `test/`, `val/`, `valid/`, `validation/` that has class folders. Tiny-ImageNet's official layout, whose `val/` names
    the classes in `val_annotations.txt`, is understood too. Images directly in `train/` are unlabelled. Without
    `train/` every image below `root` is an unlabelled training image, unless a folder directly in it is named like a
    split (`Training/`, `test_set/`, `val2017/`), which is refused. `Train/` or `TEST/` are as good as `train/` and
    `test/`. Hidden files and other files are ignored.

    Args:
        root: The folder.
        image_size: S; the short side is resized to it and the centre is cropped. None takes the multiple of 32 nearest
            to the most common short side of the training images, from 32 to 96.
        name: The data set's name; the folder's by default.

    Raises:
        DataError: No such folder, no image in it, more than 1 % of the files broken, images beside class folders,
            train and test classes that differ, folders named like splits but no `train/`, two that differ in case, or a
            `train/` one folder below.
    """
    if not root.exists():
        raise DataError(f"{root} does not exist: give a folder of images or a registered data set")
    if not root.is_dir():
        raise DataError(f"{root} is a file: unpack it and give the folder of images")
    name = name or root.resolve().name
    splits = _find_splits(root)
    train, test = _list_train(root, splits), _list_test(splits)
    if not train.files:
        where = splits.get("train", root)
        raise DataError(f"no image in {where}: looked for {', '.join(sorted(IMAGE_SUFFIXES))}")
    classes = sorted(set(train.class_names or ()))
    if test is not None and test.class_names is not None:
        if train.class_names is None:
            raise DataError(f"{root} has classes in its test split but none below train/: give train/ the same folders")
        _check_same_classes(root, classes, sorted(set(test.class_names)))
    if image_size is None:
        image_size = _default_size(train.files)
    train_split, broken = _load(train, classes, image_size)
    test_split = None
    if test is not None:
        test_split, broken_test = _load(test, classes, image_size)
        broken += broken_test
    _check_broken(root, broken, len(train.files) + (len(test.files) if test else 0))
    return build_dataset(name, train_split, test_split, classes, [path for path, _ in broken])


def list_images(folder: Path) -> list[Path]:
    """All image files below `folder`, sorted by path."""
    found = []
    for directory, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
        found += [
            Path(directory, file)
            for file in files
            if not file.startswith(".") and os.path.splitext(file)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122 - 5x faster
        ]
    return sorted(found)


def _list_classes(folder: Path) -> _Listing:
    """The images below `folder`, of the class of the first folder in the way, or unlabelled if it has no folders."""
    files = list_images(folder)
    depth = len(folder.parts)
    below = [path.parts[depth] if len(path.parts) > depth + 1 else None for path in files]
    labelled = [name for name in below if name is not None]
    if labelled and len(labelled) < len(files):
        stray = files[below.index(None)]
        raise DataError(
            f"{stray} lies beside the class folders of {folder} ({len(files) - len(labelled)} such files): move them "
            "into class folders"
        )
    return _Listing(files, labelled or None)


def _find_splits(root: Path) -> dict[str, Path]:
    """The folders of the splits by their names in lower case; empty where all of `root` is to be trained on."""
    folders = _folders(root)
    splits: dict[str, Path] = {}
    for folder in folders:
        name = folder.name.lower()
        if name in ("train", *_TEST_FOLDERS) and splits.setdefault(name, folder) != folder:
            raise DataError(f"{root} has both {splits[name].name}/ and {folder.name}/: leave one {name}/")
    if "train" in splits:
        return splits
    # A held-out folder beside others would be pretrained on.
    named = [f"{folder.name}/" for folder in folders if _names_a_split(folder.name)]
    if named:
        raise DataError(
            f"{root} has {', '.join(named[:4])}{', ...' if len(named) > 4 else ''} but no train/: rename the folder of "
            "the training images to train/ and that of the test images to test/ (and one that is neither to another "
            "name)"
        )
    inner = next((folder for folder in folders if any(path.name.lower() == "train" for path in _folders(folder))), None)
    if inner is not None:
        raise DataError(f"{root} has no train/, but {inner} has: give that folder")
    return {}


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def _names_a_split(name: str) -> bool:
    return any(word.lower() in _SPLIT_WORDS for word in _WORD.findall(name))


def _list_train(root: Path, splits: Mapping[str, Path]) -> _Listing:
    return _list_classes(splits["train"]) if "train" in splits else _Listing(list_images(root), None)


def _list_test(splits: Mapping[str, Path]) -> _Listing | None:
    if "val" in splits and (splits["val"] / "val_annotations.txt").is_file():
        return _list_annotated(splits["val"] / "val_annotations.txt")
    listings = [_list_classes(splits[name]) for name in _TEST_FOLDERS if name in splits]
    listings = [listing for listing in listings if listing.files]
    labelled = [listing for listing in listings if listing.class_names is not None]
    return next(iter(labelled or listings), None)


def _list_annotated(annotations: Path) -> _Listing:
    """Tiny-ImageNet's val split: lines of file name, class and bounding box, separated by tabs."""
    class_of = {}
    for number, line in enumerate(annotations.read_text(encoding="utf-8").splitlines(), start=1):
        fields = line.split("\t")
        if len(fields) < 2:
            raise DataError(f"{annotations}, line {number}: expected a file name and a class separated by a tab")
        class_of[fields[0]] = fields[1]
    files = list_images(annotations.parent)
    missing = [path for path in files if path.name not in class_of]
    if missing:
        raise DataError(f"{annotations} names no class for {missing[0]} ({len(missing)} such files): unpack it again")
    return _Listing(files, [class_of[path.name] for path in files])


def _check_same_classes(root: Path, train: list[str], test: list[str]) -> None:
    only_train, only_test = sorted(set(train) - set(test)), sorted(set(test) - set(train))
    if only_train or only_test:
        parts = [
            f"{len(names)} only in {where} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
            for names, where in ((only_train, "train"), (only_test, "test"))
            if names
        ]
        raise DataError(f"the classes of the splits of {root} differ: {' and '.join(parts)}")


def _default_size(files: Sequence[Path]) -> int:
    side = native_short_side(files) or _SMALLEST_SIZE
    nearest = (side + _SIZE_STEP // 2) // _SIZE_STEP * _SIZE_STEP
    return min(max(nearest, _SMALLEST_SIZE), _LARGEST_SIZE)


def _load(listing: _Listing, classes: list[str], image_size: int) -> tuple[ImageSplit, list[tuple[str, str]]]:
    decoded = decode_files(listing.files, image_size)
    labels = None
    if listing.class_names is not None:
        index_of = {name: index for index, name in enumerate(classes)}
        labels = torch.tensor([index_of[name] for name in listing.class_names], dtype=torch.int64)[decoded.kept]
    broken = [(str(listing.files[index]), reason) for index, reason in decoded.broken]
    return ImageSplit(decoded.images, labels), broken


def _check_broken(root: Path, broken: list[tuple[str, str]], total: int) -> None:
    if not broken:
        return
    named = "; ".join(f"{path} ({reason})" for path, reason in broken[:3]) + ("; ..." if len(broken) > 3 else "")
    if len(broken) > _MAX_BROKEN * total:
        raise DataError(
            f"{len(broken)} of {total} images in {root} are broken, more than {_MAX_BROKEN:.0%}: {named}; "
            "delete or replace them"
        )
    _log.warning("skipped %d broken of %d images in %s: %s", len(broken), total, root, named)
