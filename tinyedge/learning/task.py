"""Examples to learn classes from, and images to classify after that, drawn from a folder of class folders."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyedge.data.decode import decode_image
from tinyedge.data.layout import IMAGE_SUFFIXES
from tinyedge.errors import DataError
from tinyedge.manifest.manifest import ExportManifest
from tinyedge.plural import counted


@dataclass(frozen=True)
class Example:
    """An image file and the class, by number, of the folder that it lies in."""

    file: Path
    label: int


@dataclass(frozen=True)
class FewShotTask:
    """What to learn and what to ask.

    Attributes:
        classes: Their names; a class's number is its place.
        support: To learn from: `shots` a class, class after class.
        queries: To classify, round the classes.
    """

    classes: tuple[str, ...]
    support: tuple[Example, ...]
    queries: tuple[Example, ...]


def draw_task(folder: Path, shots: int, queries: int, seed: int, classes: tuple[str, ...] = ()) -> FewShotTask:
    """Draw a task from FOLDER/CLASS/*.jpg; the same arguments give the same files.

    Args:
        folder: Holds a folder a class.
        shots: Examples a class to learn from.
        queries: Images a class to classify.
        seed: Of the draw.
        classes: Names of folders; all of them, sorted, where it is empty.

    Raises:
        DataError: The folder, or one of the classes, is missing or holds too few images.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder: give one that holds a folder of images for each class")
    found = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    names = classes or tuple(found)
    missing = [name for name in names if name not in found]
    if missing or len(set(names)) < len(names):
        wrong = f"no class folder {missing[0]!r}" if missing else "a class that is named twice"
        raise DataError(f"{folder} has {wrong}: choose from {', '.join(found) or 'nothing'}")
    if len(names) < 2:
        raise DataError(f"{folder} has {len(names)} class folder{'s' * (len(names) != 1)}: give one with two or more")
    drawn = [
        _draw(folder / name, shots + queries, np.random.default_rng([seed, place])) for place, name in enumerate(names)
    ]
    return FewShotTask(
        tuple(names),
        tuple(Example(file, label) for label, files in enumerate(drawn) for file in files[:shots]),
        tuple(Example(drawn[label][shots + turn], label) for turn in range(queries) for label in range(len(names))),
    )


def load_images(examples: tuple[Example, ...], manifest: ExportManifest) -> np.ndarray:
    """Decode images to what a model takes: (n, H, W, C) uint8, RGB or grey, as `decode_image` resizes them.

    Raises:
        DataError: A file cannot be read.
    """
    height, width, channels = manifest.input.shape[1:]
    images = []
    for example in examples:
        try:
            images.append(decode_image(example.file, (height, width), manifest.preprocessing.white_level, channels))
        except Exception as error:  # Pillow raises almost anything on a broken file.
            raise DataError(f"{example.file} cannot be read ({error}): delete or replace it") from error
    return np.stack(images)


def _draw(folder: Path, count: int, generator: np.random.Generator) -> list[Path]:
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if len(files) < count:
        raise DataError(
            f"{folder} has {counted(len(files), 'image')} and {count} are needed: give fewer --shots or --queries"
        )
    return [files[index] for index in generator.permutation(len(files))[:count]]
