"""The views that a method trains on: which augmentation each has, and which share a crop."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from tinyedge.data.augment import Augment, AugmentConfig, Window, default_augment, share_crop
from tinyedge.data.dataset import ImageDataset
from tinyedge.errors import ConfigError
from tinyedge.ssl.base import View
from tinyedge.ssl.distributed import own_rows, world_size
from tinyedge.ssl.options import unknown_name
from tinyedge.training.config import AUGMENT_PRESETS

_PATCH_AREA = 0.25


def view_augment(preset: str, dataset_name: str, image_size: int) -> AugmentConfig:
    """Return the augmentation of a preset for a data set.

    * `strong` is what suits joint-embedding methods.
    * `weak` only crops (half of the area or more) and flips, as masked autoencoders do.
    * `teacher` crops less (four fifths of the area or more), so that a teacher sees what it knows.
    * `patch` is `strong` with crops of a quarter of the area and up, for methods with many views of an image.
    * `supervised` is `weak` with crops of a third of the area and up.

    Raises:
        ConfigError: An unknown preset, with the closest match.
    """
    if preset not in AUGMENT_PRESETS:
        raise ConfigError(unknown_name("augment", preset, AUGMENT_PRESETS))
    strong = default_augment(dataset_name, image_size)
    low, high = strong.crop_area
    if preset == "strong":
        return strong
    if preset == "patch":
        return replace(strong, crop_area=(_PATCH_AREA, high))
    least = {"weak": 0.5, "teacher": 0.8, "supervised": 0.35}[preset]
    return replace(
        strong,
        crop_area=(max(low, least), high),
        jitter_probability=0.0,
        greyscale_probability=0.0,
        blur_probability=0.0,
        solarise_probability=0.0,
    )


class ViewMaker:
    """Makes all views of a batch, on the device of the images.

    Args:
        views: What to make.
        preset: Augmentation of the views that name none.
        dataset: Whose images they are; gives the normalisation.
        image_size: H = W in pixels.
    """

    def __init__(self, views: Sequence[View], preset: str, dataset: ImageDataset, image_size: int):
        self.views = tuple(views)
        self._configs = tuple(view_augment(view.preset or preset, dataset.name, image_size) for view in self.views)
        self._mean, self._std = dataset.mean, dataset.std

    def __call__(
        self, images: torch.Tensor, generator: torch.Generator, strength: float = 1.0, size: int | None = None
    ) -> tuple[tuple[torch.Tensor, ...], tuple[Window, ...]]:
        """Return a tensor (B, C, H', W') float32, normalised and channels-last, for each view, and where each lies.

        Args:
            images: (B, C, H, W) uint8, this rank's rows.
            generator: Source of randomness on the device of the images, in the same state on every rank.
            strength: In [0, 1]; scales the augmentation of the views that name no preset.
            size: H' = W' of the views that name no preset; None, as for the others, is the images' own.
        """
        augments: list[Augment] = []
        drawn: list[torch.Tensor] = []
        for view, config in zip(self.views, self._configs, strict=True):
            if view.preset:
                augment = Augment(config, self._mean, self._std)
            else:
                augment = Augment(config.scaled(strength), self._mean, self._std, size)
            numbers = own_rows(augment.draw(len(images) * world_size(), generator))
            if view.crop_of is not None:
                augment = augment.sharing_crop(augments[view.crop_of])
                numbers = share_crop(numbers, drawn[view.crop_of])
            augments.append(augment)
            drawn.append(numbers)
        made = list(zip(augments, drawn, strict=True))
        return (
            tuple(augment.apply(images, of).contiguous(memory_format=torch.channels_last) for augment, of in made),
            tuple(augment.window(of, images.shape[2], images.shape[3]) for augment, of in made),
        )
