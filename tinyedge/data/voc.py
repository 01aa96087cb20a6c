"""Images with boxes in PASCAL VOC's layout, through torchvision's loader."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from tinyedge.data.voc_layout import TEST_LIST, TRAIN_LISTS, has_list, missing_list
from tinyedge.errors import DataError
from tinyedge.installation import package_missing


@dataclass(frozen=True)
class BoxSplit:
    """Images of one split with their objects, in memory.

    Attributes:
        images: (N, 3, S, S) uint8, RGB, squeezed to a square.
        boxes: For each image (K, 4) float32: left, top, right, bottom in its pixels, edges not pixel centres.
        labels: For each image (K,) int64 class indices from 0.
        difficult: For each image (K,) bool.
    """

    images: torch.Tensor
    boxes: tuple[torch.Tensor, ...]
    labels: tuple[torch.Tensor, ...]
    difficult: tuple[torch.Tensor, ...]

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class BoxDataset:
    """Images with boxes.

    Attributes:
        train: For training.
        test: For the figure alone.
        classes: Names by index, those of the objects in `train`.
    """

    train: BoxSplit
    test: BoxSplit
    classes: tuple[str, ...]


def load_voc(root: Path, image_size: int) -> BoxDataset:
    """Load trainval of VOC 2007 and, where it is there, 2012, and test of 2007.

    Args:
        root: The folder that holds `VOCdevkit/VOC2007` (with `JPEGImages`, `Annotations`, `ImageSets/Main`).
        image_size: S; images are squeezed to S x S and their boxes with them.

    Raises:
        DataError: A list, an image or an annotation is missing or broken, test has a class that train lacks, or all
            objects of one of them are difficult.
    """
    train_sources = [source for source in (_open(root, *which) for which in TRAIN_LISTS) if source is not None]
    test_source = _open(root, *TEST_LIST)
    if not train_sources:
        raise missing_list(root, "trainval")
    if test_source is None:
        raise missing_list(root, "test")
    train = [_read(root, source, index, image_size) for source in train_sources for index in range(len(source))]
    test = [_read(root, test_source, index, image_size) for index in range(len(test_source))]
    classes = sorted({name for _, objects in train for name, _, _ in objects})
    strange = sorted({name for _, objects in test for name, _, _ in objects} - set(classes))
    if not classes or strange:
        what = f"test has objects of a class that trainval lacks: {strange[0]}" if classes else "no object in trainval"
        raise DataError(f"{root}: {what}; check the files in Annotations")
    for examples, name in ((train, "trainval"), (test, "test")):
        if all(difficult for _, objects in examples for _, _, difficult in objects):
            raise DataError(
                f"{root}: {name} has no object that is not difficult, and difficult ones are neither trained on nor "
                "counted; check <difficult> in the files in Annotations"
            )
    return BoxDataset(_pack(train, classes, image_size), _pack(test, classes, image_size), tuple(classes))


# The squeezed pixels (S, S, 3), and of each object its class, its box in them and whether it is difficult.
_Example = tuple[np.ndarray, list[tuple[str, tuple[float, ...], bool]]]


def _open(root: Path, year: str, image_set: str) -> Any:
    """The data set of torchvision, or None where its list is not there."""
    try:
        from torchvision.datasets import VOCDetection
    except ImportError as error:
        raise package_missing("torchvision") from error
    if not has_list(root, year, image_set):
        return None
    source = VOCDetection(str(root), year=year, image_set=image_set)
    return source if len(source) else None


def _read(root: Path, source: Any, index: int, size: int) -> _Example:
    from xml.etree.ElementTree import ParseError

    try:
        image, target = source[index]
        across, down = size / image.width, size / image.height
        objects: list[tuple[str, tuple[float, ...], bool]] = []
        for entry in target["annotation"].get("object", []):
            left, top, right, bottom = (float(entry["bndbox"][key]) for key in ("xmin", "ymin", "xmax", "ymax"))
            # VOC counts pixels from 1 and includes the last one.
            box = ((left - 1) * across, (top - 1) * down, right * across, bottom * down)
            objects.append((entry["name"], box, entry.get("difficult", "0") == "1"))
        pixels = np.array(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))
    except (OSError, ParseError, KeyError, ValueError, TypeError) as error:
        raise DataError(
            f"{source.images[index]} or its annotation below {root} is missing or broken ({error}): unpack it again"
        ) from error
    return pixels, objects


def _pack(examples: list[_Example], classes: list[str], size: int) -> BoxSplit:
    images = torch.empty(len(examples), 3, size, size, dtype=torch.uint8)
    boxes, labels, difficult = [], [], []
    for index, (pixels, objects) in enumerate(examples):
        images[index] = torch.from_numpy(pixels).permute(2, 0, 1)
        boxes.append(torch.tensor([box for _, box, _ in objects], dtype=torch.float32).reshape(-1, 4))
        labels.append(torch.tensor([classes.index(name) for name, _, _ in objects], dtype=torch.int64))
        difficult.append(torch.tensor([hard for _, _, hard in objects], dtype=torch.bool))
    return BoxSplit(images, tuple(boxes), tuple(labels), tuple(difficult))
