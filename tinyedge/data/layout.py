"""Which files of a folder are images to train on and to test on, and of which class: the rules of docs/data.md."""

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyedge.errors import DataError

IMAGE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})

_TRAIN_FOLDERS = ("train", "training", "labelled", "labeled")
_TEST_FOLDERS = ("test", "testing", "val", "valid", "validation")
_UNLABELLED_FOLDERS = ("unlabelled", "unlabeled")
_SPLIT_FOLDERS = (*_TRAIN_FOLDERS, *_TEST_FOLDERS, *_UNLABELLED_FOLDERS)
_SPLIT_WORDS = frozenset({"train", "training", "trainset", "trainval", *_TEST_FOLDERS, "testset"})
_WORD = re.compile("[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_LAYOUTS = (
    "a set is images alone, or a folder for each class, or train/CLASS and test/CLASS; what has no class lies beside "
    "these or in unlabelled/"
)
_TEST_SHARE = 0.2
_SPLIT_SEED = 0
_FEWEST_TO_SPLIT = 3  # of a class: a probe fits one image and chooses its penalty by another, and one is tested on


@dataclass(frozen=True)
class Listing:
    """Files of one split, sorted by path.

    Attributes:
        files: The images.
        class_names: Of each file, None for one without a class; None where no file has one.
    """

    files: list[Path]
    class_names: list[str | None] | None


@dataclass(frozen=True)
class Layout:
    """What a folder holds.

    Attributes:
        train: Images to train on.
        test: Images to test on; None where there are none.
        classes: Class names, sorted.
        held_out: How `test` was taken from the class folders, in words that name the very images; None where the folder
            has a test split of its own, or none was taken.
    """

    train: Listing
    test: Listing | None
    classes: tuple[str, ...]
    held_out: str | None = None


def list_folder(root: Path) -> Layout:
    """Find the images of a folder and their classes.

    Raises:
        DataError: No such folder, no image in it, images beside the class folders of train/, train and test classes
            that differ, a folder named like a split but no train/, or two folders of one split.
    """
    if not root.exists():
        raise DataError(f"{root} does not exist: give a folder of images or a registered data set")
    if not root.is_dir():
        raise DataError(f"{root} is a file: unpack it and give the folder of images")
    place = _unwrap(root)
    splits = _find_splits(place)
    unlabelled = list_images(splits["unlabelled"]) if "unlabelled" in splits else []
    test = None
    if "train" in splits:
        train = _list_classes(splits["train"])
        unlabelled += _images_in(place)
        test = _list_test(splits)
    else:
        train, loose = _list_untold(place, splits)
        unlabelled += loose
    if not train.files and not unlabelled:
        where = splits.get("train", place)
        raise DataError(f"no image in {where} (looked for {', '.join(sorted(IMAGE_SUFFIXES))}): {_LAYOUTS}")
    classes = tuple(sorted({name for name in train.class_names or () if name is not None}))
    if test is not None and test.class_names is not None:
        if train.class_names is None:
            raise DataError(f"{root} has classes in its test split but none below train/: give train/ the same folders")
        _check_same_classes(root, classes, tuple(sorted(set(filter(None, test.class_names)))))
    held_out = None
    if test is None and train.class_names is not None and len(classes) > 1:
        train, test, held_out = _hold_out(place, train.files, train.class_names)
    return Layout(_with_unlabelled(train, unlabelled), test, classes, held_out)


def list_images(folder: Path) -> list[Path]:
    """All image files below `folder`, sorted by path; a link to a folder that is listed, or lies around, adds none."""
    found = []
    seen = set(map(_identity, (folder, *folder.resolve().parents)))
    starts = [str(folder)]
    while starts:
        links = []
        for start in starts:
            for directory, folders, files in os.walk(start):
                found += [f"{directory}{os.sep}{file}" for file in files if _is_image(file)]
                own = []
                for name in filter(_is_shown, folders):
                    path = os.path.join(directory, name)  # noqa: PTH118 - as os.walk
                    if os.path.islink(path):  # noqa: PTH114 - 5x faster
                        links.append(path)
                    elif _is_new(path, seen):
                        own.append(name)
                folders[:] = own
        # Afterwards, so that a folder has its own path and not a link's.
        starts = [path for path in sorted(links, key=_parts) if _is_new(path, seen)]
    found.sort(key=_parts)
    return [Path(path) for path in found]


def _is_new(folder: str, seen: set[tuple[int, int] | None]) -> bool:
    """Whether a folder is none of those that were seen, of which it is one then; one that may not be entered is old."""
    identity = _identity(folder)
    new = identity is not None and identity not in seen
    seen.add(identity)
    return new


def _identity(folder: Path | str) -> tuple[int, int] | None:
    """What tells a folder from others, whatever it is called; None where it may not be entered."""
    try:
        status = os.stat(folder)  # noqa: PTH116 - takes both
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _parts(path: Path | str) -> list[str]:
    """What a path sorts by: as `Path` itself does, which takes it apart for every comparison."""
    return str(path).split(os.sep)  # noqa: PTH206 - 5x faster


def _is_shown(name: str) -> bool:
    return not name.startswith((".", "__MACOSX"))


def _is_image(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122 - 5x faster


def _images_in(folder: Path) -> list[Path]:
    return sorted(
        (path for path in folder.iterdir() if _is_image(path.name) and path.is_file()), key=lambda path: path.name
    )


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and _is_shown(path.name))


def _unwrap(root: Path) -> Path:
    """The folder that the images or their folders lie in: an archive often holds one folder that holds all."""
    folders, seen = _folders(root), {_identity(root)}
    while len(folders) == 1 and folders[0].name.lower() not in _SPLIT_FOLDERS and not _images_in(root):
        if _identity(folders[0]) in seen:  # A link back.
            break
        root = folders[0]
        folders = _folders(root)
        seen.add(_identity(root))
    return root


def _find_splits(root: Path) -> dict[str, Path]:
    """The folders of the splits by what they are; of the test splits each by its own name in lower case."""
    folders = _folders(root)
    splits: dict[str, Path] = {}
    for folder in folders:
        name = folder.name.lower()
        if name not in _SPLIT_FOLDERS:
            continue
        kind = "train" if name in _TRAIN_FOLDERS else "unlabelled" if name in _UNLABELLED_FOLDERS else name
        if splits.setdefault(kind, folder) != folder:
            raise DataError(f"{root} has both {splits[kind].name}/ and {folder.name}/: leave one {kind}/")
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
    return splits


def _names_a_split(name: str) -> bool:
    return any(word.lower() in _SPLIT_WORDS for word in _WORD.findall(name))


def _list_classes(folder: Path) -> Listing:
    """The images below `folder`, of the class of the first folder in the way, or unlabelled if it has no folders."""
    loose = _images_in(folder)
    files = sorted(loose + [path for inner in _folders(folder) for path in list_images(inner)], key=_parts)
    if loose and len(loose) < len(files):
        raise DataError(
            f"{loose[0]} lies beside the class folders of {folder} ({len(loose)} such files): move them into class "
            f"folders, or into {folder.parent / 'unlabelled'}"
        )
    return Listing(files, None if loose or not files else [_first_folder(folder, path) for path in files])


def _list_untold(root: Path, splits: Mapping[str, Path]) -> tuple[Listing, list[Path]]:
    """The images of a folder without train/, and of these the ones that have no class.

    Two or more folders with images are classes; one alone tells nothing apart.
    """
    loose = _images_in(root)
    below = [path for folder in _folders(root) if folder not in splits.values() for path in list_images(folder)]
    names = [_first_folder(root, path) for path in below]
    if len(set(names)) < 2:
        return Listing([], None), sorted(loose + below, key=_parts)
    return Listing(below, [*names]), loose


def _first_folder(root: Path, path: Path) -> str:
    return path.parts[len(root.parts)]


def _list_test(splits: Mapping[str, Path]) -> Listing | None:
    if "val" in splits and (splits["val"] / "val_annotations.txt").is_file():
        return _list_annotated(splits["val"] / "val_annotations.txt")
    listings = [_list_classes(splits[name]) for name in _TEST_FOLDERS if name in splits]
    listings = [listing for listing in listings if listing.files]
    labelled = [listing for listing in listings if listing.class_names is not None]
    return next(iter(labelled or listings), None)


def _list_annotated(annotations: Path) -> Listing:
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
    return Listing(files, [class_of[path.name] for path in files])


def _check_same_classes(root: Path, train: Sequence[str], test: Sequence[str]) -> None:
    only_train, only_test = sorted(set(train) - set(test)), sorted(set(test) - set(train))
    if only_train or only_test:
        parts = [
            f"{len(names)} only in {where} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
            for names, where in ((only_train, "train"), (only_test, "test"))
            if names
        ]
        raise DataError(f"the classes of the splits of {root} differ: {' and '.join(parts)}")


def _hold_out(
    root: Path, files: Sequence[Path], class_names: Sequence[str | None]
) -> tuple[Listing, Listing | None, str | None]:
    """Take a fifth of each class as the test split, the same whenever the folder holds the same files.

    The order within a class is that of a hash of the seed and the file's path below `root`, so that a file more moves
    as few others as can be.
    """
    members: dict[str | None, list[int]] = {}
    for index, name in enumerate(class_names):
        members.setdefault(name, []).append(index)
    keys = [hashlib.sha256(f"{_SPLIT_SEED} {path.relative_to(root).as_posix()}".encode()).digest() for path in files]
    chosen: set[int] = set()
    for indices in members.values():
        count = max(1, round(_TEST_SHARE * len(indices))) if len(indices) >= _FEWEST_TO_SPLIT else 0
        chosen.update(sorted(indices, key=keys.__getitem__)[:count])
    if not chosen:
        return Listing(list(files), list(class_names)), None, None
    digest = hashlib.sha256(b"".join(keys[index] for index in sorted(chosen))).hexdigest()[:16]
    name = f"{_TEST_SHARE:.0%} of each class by seed {_SPLIT_SEED}: {len(chosen)} images, sha256 {digest}"
    kept = [index for index in range(len(files)) if index not in chosen]
    return _part(files, class_names, kept), _part(files, class_names, sorted(chosen)), name


def _part(files: Sequence[Path], class_names: Sequence[str | None], indices: Sequence[int]) -> Listing:
    return Listing([files[i] for i in indices], [class_names[i] for i in indices])


def _with_unlabelled(listing: Listing, unlabelled: Sequence[Path]) -> Listing:
    """All images of a train split, sorted by path."""
    if not unlabelled:
        return listing
    names = listing.class_names or [None] * len(listing.files)
    both = sorted(
        [*zip(listing.files, names, strict=True), *((path, None) for path in unlabelled)], key=lambda x: _parts(x[0])
    )
    return Listing([path for path, _ in both], [name for _, name in both] if listing.class_names is not None else None)
