"""Data sets with a fixed place on the web: CIFAR-10, CIFAR-100, STL-10 (through torchvision) and Tiny-ImageNet."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from tinyedge.data.dataset import ImageDataset, ImageSplit, build_dataset
from tinyedge.data.folder import load_folder
from tinyedge.data.registry import missing_dataset
from tinyedge.errors import DataError
from tinyedge.installation import package_missing

_TINY_IMAGENET_URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
_TINY_IMAGENET_MD5 = "90528d7ca1a48142e341f4ef8d21d0de"


def load_cifar10(root: Path, *, image_size: int | None = None, download: bool = False) -> ImageDataset:
    """Load CIFAR-10: 50,000 train and 10,000 test images of 32x32, 10 classes."""
    return _load_cifar("cifar10", "CIFAR10", root, image_size, download)


def load_cifar100(root: Path, *, image_size: int | None = None, download: bool = False) -> ImageDataset:
    """Load CIFAR-100: 50,000 train and 10,000 test images of 32x32, 100 classes."""
    return _load_cifar("cifar100", "CIFAR100", root, image_size, download)


def load_stl10(root: Path, *, image_size: int | None = None, download: bool = False) -> ImageDataset:
    """Load STL-10: 5,000 labelled and 100,000 unlabelled (label -1) train, 8,000 test images of 96x96, 10 classes."""
    splits = []
    classes: list[str] = []
    for split in ("train+unlabeled", "test"):
        source = _open("stl10", "STL10", root, download, split=split)
        splits.append(_to_split(source.data, source.labels, image_size))
        classes = [str(name) for name in source.classes]
    return build_dataset("stl10", splits[0], splits[1], classes)


def load_tiny_imagenet(root: Path, *, image_size: int | None = None, download: bool = False) -> ImageDataset:
    """Load Tiny-ImageNet: 100,000 train and 10,000 official validation images of 64x64, 200 classes (WordNet ids)."""
    folder = root / "tiny-imagenet-200"
    if not folder.is_dir():
        if not download:
            raise missing_dataset("tiny-imagenet", root)
        utils = _torchvision_datasets().utils
        try:
            utils.download_and_extract_archive(_TINY_IMAGENET_URL, str(root), md5=_TINY_IMAGENET_MD5)
        except (OSError, RuntimeError) as error:
            raise _download_failed("tiny-imagenet", root, error) from error
    return load_folder(folder, image_size=image_size, name="tiny-imagenet")


def _load_cifar(name: str, torchvision_class: str, root: Path, image_size: int | None, download: bool) -> ImageDataset:
    splits = []
    classes: list[str] = []
    for train in (True, False):
        source = _open(name, torchvision_class, root, download, train=train)
        splits.append(_to_split(source.data.transpose(0, 3, 1, 2), np.asarray(source.targets), image_size))
        classes = list(source.classes)
    return build_dataset(name, splits[0], splits[1], classes)


def _open(name: str, torchvision_class: str, root: Path, download: bool, **choice: Any) -> Any:
    datasets = _torchvision_datasets()
    try:
        root.mkdir(parents=True, exist_ok=True)
        return getattr(datasets, torchvision_class)(root=str(root), download=download, **choice)
    except (OSError, RuntimeError) as error:
        raise (_download_failed(name, root, error) if download else missing_dataset(name, root)) from error


def _torchvision_datasets() -> Any:
    try:
        import torchvision.datasets
    except ImportError as error:
        raise package_missing("torchvision") from error
    return torchvision.datasets


def _download_failed(name: str, root: Path, error: Exception) -> DataError:
    return DataError(
        f"{name} could not be downloaded to {root} ({error}): check the network and the disk, or give the folder of "
        "the images with --data"
    )


def _to_split(pixels: np.ndarray, labels: np.ndarray, image_size: int | None) -> ImageSplit:
    """Tensors of (N, 3, H, W) uint8 pixels, resized if `image_size` is not H."""
    images = torch.from_numpy(np.ascontiguousarray(pixels))
    if image_size is not None and image_size != images.shape[-1]:
        size = (image_size, image_size)
        images = torch.cat(
            [
                F.interpolate(chunk.float(), size, mode="bicubic", antialias=True).round_().clamp_(0, 255).byte()
                for chunk in images.split(1024)
            ]
        )
    return ImageSplit(images, torch.from_numpy(labels.astype(np.int64)))
