"""Data sets by name or path."""

from collections.abc import Callable
from pathlib import Path

from tinyedge.data import published
from tinyedge.data.cache import cache_directory
from tinyedge.data.dataset import ImageDataset, require_labels
from tinyedge.data.digits import load_digits
from tinyedge.data.folder import load_folder
from tinyedge.data.layout import list_images
from tinyedge.data.shards import is_shard_pattern, load_shard_sample
from tinyedge.errors import ConfigError, DataError

_PUBLISHED: dict[str, Callable[..., ImageDataset]] = {
    "cifar10": published.load_cifar10,
    "cifar100": published.load_cifar100,
    "stl10": published.load_stl10,
    "tiny-imagenet": published.load_tiny_imagenet,
}
# What torchvision unpacks these sets to; none of their files is an image file.
_UNPACKED = {"cifar-10-batches-py": "cifar10", "cifar-100-python": "cifar100", "stl10_binary": "stl10"}
_IMAGE_SIZES = (8, 512)


def dataset_names() -> tuple[str, ...]:
    """Return the registered names; every other name is taken as the path of a folder."""
    return ("digits", *_PUBLISHED)


def load_dataset(
    name_or_path: str,
    *,
    image_size: int | None = None,
    root: Path | None = None,
    download: bool = False,
    labels_required: bool = False,
) -> ImageDataset:
    """Load a registered data set or a folder of images into memory.

    Args:
        name_or_path: One of `dataset_names()`, or a folder laid out as docs/data.md says. A folder
            of the name of a registered set is given as `./cifar10`. A folder that CIFAR or STL-10 is unpacked in as
            torchvision does it (`cifar-10-batches-py`), or that very one, is the registered set. Of tar shards
            (`shards/{000..099}.tar`) the first images are loaded, see `tinyedge.data.shards`.
        image_size: H = W in pixels; None keeps the set's own (a folder: the multiple of 32 nearest to its most common
            short side, from 32 to 96; digits: 32).
        root: Where the published sets lie or are downloaded to; None is `datasets` in the cache folder.
        download: Whether a published set that is missing may be downloaded.
        labels_required: Whether a set that cannot be probed is an error.

    Raises:
        DataError: The set is missing, empty, broken, or lacks the labels that are required.
        ConfigError: `image_size` is out of range.
    """
    low, high = _IMAGE_SIZES
    if image_size is not None and not low <= image_size <= high:
        raise ConfigError(f"image size {image_size} is out of range: choose {low} to {high} pixels, 32 is usual")
    if name_or_path == "digits":
        dataset = load_digits(32 if image_size is None else image_size)
    elif name_or_path in _PUBLISHED:
        place = root or cache_directory() / "datasets"
        dataset = _PUBLISHED[name_or_path](place, image_size=image_size, download=download)
    elif is_shard_pattern(name_or_path):
        dataset = load_shard_sample(name_or_path, image_size)
    else:
        folder = Path(name_or_path).expanduser()
        if not folder.exists():
            raise DataError(
                f"{name_or_path} is neither a folder nor a known data set: give a folder of images or one of "
                f"{', '.join(dataset_names())}"
            )
        dataset = _load_path(folder, image_size)
    if labels_required:
        require_labels(dataset)
    return dataset


def _load_path(folder: Path, image_size: int | None) -> ImageDataset:
    """Load a folder of images; one without is a published set, or the folder that such a set is unpacked in."""
    root, found = folder, [name for name in _UNPACKED if (folder / name).is_dir()]
    if folder.name in _UNPACKED:
        root, found = folder.parent, [folder.name]
    if not found or list_images(folder):
        return load_folder(folder, image_size=image_size)
    if len(found) > 1:
        raise DataError(f"{folder} holds {' and '.join(found)}: give one of them, --data {folder / found[0]}")
    return _PUBLISHED[_UNPACKED[found[0]]](root, image_size=image_size)
