"""Where PASCAL VOC keeps its lists of images; free of torch, so that a folder is checked without it."""

from pathlib import Path

from tinyedge.errors import DataError

# Which lists are read, where they exist: VOC 2007 and 2012 together, as detectors are usually trained.
TRAIN_LISTS = (("2007", "trainval"), ("2012", "trainval"))
TEST_LIST = ("2007", "test")


def has_list(root: Path, year: str, image_set: str) -> bool:
    """Tell whether a list is there."""
    return (root / "VOCdevkit" / f"VOC{year}" / "ImageSets" / "Main" / f"{image_set}.txt").is_file()


def check_voc(root: Path) -> None:
    """Refuse a folder that lacks a list to train on or the list to test on.

    Raises:
        DataError: It does.
    """
    for there, image_set in (
        (any(has_list(root, *which) for which in TRAIN_LISTS), "trainval"),
        (has_list(root, *TEST_LIST), "test"),
    ):
        if not there:
            raise missing_list(root, image_set)


def missing_list(root: Path, image_set: str) -> DataError:
    """Return the error for a folder in which a list is missing or empty."""
    return DataError(
        f"{root} has no VOCdevkit/VOC2007/ImageSets/Main/{image_set}.txt with images in it: give the folder that "
        "VOCdevkit was unpacked in to --voc"
    )
