"""How the pixels of calibration images become the values that a network takes."""

from dataclasses import dataclass, replace

import numpy as np

from tinyedge.errors import ConfigError

PRESETS = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "pixels": ((0.0,), (1 / 255,)),
}
"""Mean and standard deviation by name: of ImageNet; of networks that take 0 to 255 as they are."""


@dataclass(frozen=True)
class Normalisation:
    """`(pixel / 255 - mean) / std`.

    Attributes:
        mean: Of each channel, for pixels scaled to [0, 1]; one for all where there is one.
        std: Of each channel, likewise.
        white_level: What is pixel 255 in 16-bit greyscale files; None where there are none.
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    white_level: int | None = None

    def for_channels(self, channels: int) -> "Normalisation":
        """Return the same with one mean and one standard deviation for each of so many channels.

        Raises:
            ConfigError: They are of another number of channels.
        """
        for option, values in (("--mean", self.mean), ("--std", self.std)):
            if len(values) not in (1, channels):
                raise ConfigError(
                    f"{option} has {len(values)} numbers and the images {channels} channels: give one each"
                )
        mean, std = (values * channels if len(values) == 1 else values for values in (self.mean, self.std))
        return replace(self, mean=mean, std=std)

    def table(self) -> np.ndarray:
        """Return the value of every pixel value of every channel, (C, 256) float32."""
        mean, std = (np.asarray(values, np.float32)[:, None] for values in (self.mean, self.std))
        table: np.ndarray = (np.arange(256, dtype=np.float32) / np.float32(255) - mean) / std
        return table

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """Return the values (n, H, W, C) float32 of pixels (n, H, W, C) uint8."""
        return np.stack([row[pixels[..., channel]] for channel, row in enumerate(self.table())], axis=-1)

    def describe(self) -> str:
        """Return it as a reader is told: `(pixel / 255 - 0.5) / 0.5`."""
        mean, std = map(_listed, (self.mean, self.std))
        return f"(pixel / 255 - {mean}) / {std}"


def parse_normalisation(mean: str | None, std: str | None) -> Normalisation | None:
    """Return what two options say; None if nothing is given.

    Args:
        mean: One number, or one a channel with commas between, for pixels scaled to [0, 1]; or the name of a preset,
            which sets the standard deviation too.
        std: Likewise, without presets.

    Raises:
        ConfigError: One is no number, or is out of its range.
    """
    if mean is None and std is None:
        return None
    if mean in PRESETS:
        means, deviations = PRESETS[str(mean)]
    else:
        means, deviations = _numbers("--mean", mean, (0.0,)), (1.0,)
    deviations = _numbers("--std", std, deviations)
    for value in means:
        if not -1 <= value <= 1:
            raise ConfigError(
                f"--mean {value:g} is beyond 1: it is of pixels scaled to 0 to 1, so divide by 255 (127.5 is 0.5), or "
                "take --mean pixels for a network that takes 0 to 255"
            )
    for value in deviations:
        if not 0 < value <= 1:
            raise ConfigError(
                f"--std {value:g} is not between 0 and 1: it is of pixels scaled to 0 to 1, so divide by 255"
            )
    if len(means) > 1 and len(deviations) > 1 and len(means) != len(deviations):
        raise ConfigError(f"--mean has {len(means)} numbers and --std {len(deviations)}: give one a channel to both")
    return Normalisation(means, deviations)


def _listed(values: tuple[float, ...]) -> str:
    numbers = [f"{value:.6g}" for value in values]
    return numbers[0] if len(set(numbers)) == 1 else f"({', '.join(numbers)})"


def _numbers(option: str, text: str | None, default: tuple[float, ...]) -> tuple[float, ...]:
    if text is None:
        return default
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        names = f", or {' or '.join(PRESETS)}" if option == "--mean" else ""
        raise ConfigError(f"{option} {text} is no number: give one, or one a channel as 0.5,0.4,0.3{names}") from None
