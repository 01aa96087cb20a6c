"""Augmentation presets of the views that methods train on."""

from dataclasses import replace

from tinyedge.data.augment import AugmentConfig, default_augment
from tinyedge.errors import ConfigError
from tinyedge.ssl.options import unknown_name

AUGMENT_PRESETS = ("strong", "weak")


def view_augment(preset: str, dataset_name: str, image_size: int) -> AugmentConfig:
    """Return the augmentation of a preset for a data set.

    `strong` is what suits joint-embedding methods. `weak` only crops (half of the area or more) and flips, as masked
    autoencoders do.

    Raises:
        ConfigError: An unknown preset, with the closest match.
    """
    if preset not in AUGMENT_PRESETS:
        raise ConfigError(unknown_name("augment", preset, AUGMENT_PRESETS))
    strong = default_augment(dataset_name, image_size)
    if preset == "strong":
        return strong
    low, high = strong.crop_area
    return replace(
        strong,
        crop_area=(max(low, 0.5), high),
        jitter_probability=0.0,
        greyscale_probability=0.0,
        blur_probability=0.0,
        solarise_probability=0.0,
    )
