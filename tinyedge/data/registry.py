"""Data sets by name or path; free of torch until one is loaded, so that a name or path is checked without it."""

import importlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from tinyedge.data.cache import cache_directory
from tinyedge.data.layout import list_folder, list_images
from tinyedge.destination import check_folder
from tinyedge.errors import ConfigError, DataError
from tinyedge.shell import command_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinyedge.data.dataset import ImageDataset

# What each published set is unpacked to, by torchvision or by us; none of those files is an image file but the last's.
_PUBLISHED = {
    "cifar10": "cifar-10-batches-py",
    "cifar100": "cifar-100-python",
    "stl10": "stl10_binary",
    "tiny-imagenet": "tiny-imagenet-200",
}
_UNPACKED = {folder: name for name, folder in _PUBLISHED.items() if name != "tiny-imagenet"}
_IMAGE_SIZES = (8, 512)


def dataset_names() -> tuple[str, ...]:
    """Return the registered names; every other name is taken as the path of a folder."""
    return ("digits", *_PUBLISHED)


def absolute_name(name_or_path: str) -> str:
    """Return what names the same data set from any folder: a registered name, or an absolute path."""
    return name_or_path if name_or_path in dataset_names() else str(Path(name_or_path).expanduser().resolve())


def images_option(config: Path) -> tuple[str, ...]:
    """Return `--data IMAGES` for a command about a run that names its images without where they lie, as a packed one.

    Args:
        config: The run's settings, which may be absent.
    """
    try:
        named = re.search(r"^data: (.+)$", config.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    except OSError:
        return ()
    data = "" if named is None else named[1].strip("'\"")
    return () if not data or data in dataset_names() or Path(data).is_absolute() else ("--data", "IMAGES")


def load_dataset(
    name_or_path: str,
    *,
    image_size: int | None = None,
    channels: int = 3,
    white_level: int | None = None,
    root: Path | None = None,
    download: bool = False,
    labels_required: bool = False,
) -> "ImageDataset":
    """Load a registered data set or a folder of images into memory.

    Args:
        name_or_path: One of `dataset_names()`, or a folder laid out as docs/data.md says. A folder
            of the name of a registered set is given as `./cifar10`. A folder that CIFAR or STL-10 is unpacked in as
            torchvision does it (`cifar-10-batches-py`), or that very one, is the registered set. Of tar shards
            (`shards/{000..099}.tar`) the first images are loaded, see `tinyedge.data.shards`.
        image_size: H = W in pixels; None keeps the set's own (a folder: the multiple of 32 nearest to its most common
            short side, from 32 to 96; digits: 32).
        channels: 3 for RGB; 1 turns the images into greyscale.
        white_level: White of 16-bit greyscale files; None takes it from those of the train split.
        root: Where the published sets lie or are downloaded to; None is `datasets` in the cache folder.
        download: Whether a published set that is missing may be downloaded.
        labels_required: Whether a set that cannot be probed is an error.

    Raises:
        DataError: The set is missing, empty, broken, or lacks the labels that are required.
        ConfigError: `image_size` is out of range.
    """
    _check_name(name_or_path, image_size, root, download)
    from tinyedge.data.dataset import greyscale_dataset, labelled_splits

    if name_or_path == "digits":
        from tinyedge.data.digits import load_digits

        dataset = load_digits(32 if image_size is None else image_size)
    elif name_or_path in _PUBLISHED:
        dataset = _published(name_or_path)(_place(root), image_size=image_size, download=download)
    elif is_shard_pattern(name_or_path):
        from tinyedge.data.shards import load_shard_sample

        dataset = load_shard_sample(name_or_path, image_size, white_level)
    else:
        dataset = _load_path(Path(name_or_path).expanduser(), image_size, white_level)
    if channels == 1:
        dataset = greyscale_dataset(dataset)
    if labels_required:
        labelled_splits(dataset)
    return dataset


def check_dataset(
    name_or_path: str, *, image_size: int | None = None, root: Path | None = None, download: bool = False
) -> None:
    """Refuse what `load_dataset` cannot load, as far as that shows without reading an image.

    Raises:
        DataError: The set is missing, holds no image file, or its folders are none that `list_folder` knows.
        ConfigError: `image_size` is out of range.
    """
    _check_name(name_or_path, image_size, root, download)
    if name_or_path not in dataset_names() and not is_shard_pattern(name_or_path):
        folder = Path(name_or_path).expanduser()
        if not _unpacked_sets(folder):
            list_folder(folder)


def is_shard_pattern(data: str) -> bool:
    """Tell whether `data` names tar files."""
    return data.endswith(".tar")


def _check_name(name_or_path: str, image_size: int | None, root: Path | None, download: bool) -> None:
    low, high = _IMAGE_SIZES
    if image_size is not None and not low <= image_size <= high:
        raise ConfigError(f"image size {image_size} is out of range: choose {low} to {high} pixels, 32 is usual")
    if name_or_path in _PUBLISHED:
        if not download and not (_place(root) / _PUBLISHED[name_or_path]).is_dir():
            raise missing_dataset(name_or_path, _place(root))
        if download:
            check_folder(_place(root), "name another cache folder in TINYEDGE_CACHE")
        return
    if name_or_path == "digits" or is_shard_pattern(name_or_path):
        return
    if not Path(name_or_path).expanduser().exists():
        raise DataError(
            f"{name_or_path} is neither a folder nor a known data set: give a folder of images or one of "
            f"{', '.join(dataset_names())}"
        )


def missing_dataset(name: str, root: Path) -> DataError:
    """Return the error for a published set that is not, or not whole, in `root`."""
    return DataError(
        f"{name} is not whole in {root}: give its folder with --data, or let "
        f"`{command_line('tinyedge', 'train', '--data', name, '--download')}` fetch it"
    )


def _place(root: Path | None) -> Path:
    return root or cache_directory() / "datasets"


def _published(name: str) -> "Callable[..., ImageDataset]":
    module = importlib.import_module("tinyedge.data.published")
    load: Callable[..., ImageDataset] = getattr(module, f"load_{name.replace('-', '_')}")
    return load


def _load_path(folder: Path, image_size: int | None, white_level: int | None) -> "ImageDataset":
    """Load a folder of images; one without is a published set, or the folder that such a set is unpacked in."""
    from tinyedge.data.folder import load_folder

    found = _unpacked_sets(folder)
    if not found:
        return load_folder(folder, image_size=image_size, white_level=white_level)
    if len(found) > 1:
        raise DataError(
            f"{folder} holds {' and '.join(found)}: give one of them, {command_line('--data', folder / found[0])}"
        )
    root = folder.parent if folder.name in _UNPACKED else folder
    return _published(_UNPACKED[found[0]])(root, image_size=image_size)


def _unpacked_sets(folder: Path) -> list[str]:
    """The folders of published sets that a folder without images holds, or is."""
    found = [folder.name] if folder.name in _UNPACKED else [name for name in _UNPACKED if (folder / name).is_dir()]
    return found if found and not list_images(folder) else []
