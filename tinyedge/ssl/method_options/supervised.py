"""Options of the method of `tinyedge.ssl.supervised`."""

from dataclasses import dataclass

from tinyedge.errors import ConfigError


@dataclass(frozen=True)
class SupervisedOptions:
    """What can be chosen about the supervised baseline.

    Attributes:
        label_fraction: Share of each class whose labels are known, in (0, 1].
        label_subset_seed: Chooses that share, as the probe's seeds do.
        label_smoothing: Probability that is spread over all classes, in [0, 1).
        cutmix_probability: Share of the images that get a box of another image.
    """

    label_fraction: float = 1.0
    label_subset_seed: int = 0
    label_smoothing: float = 0.1
    cutmix_probability: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.label_fraction <= 1:
            raise ConfigError(
                f"label_fraction is {self.label_fraction}, but has to be above 0 and at most 1; correct label_fraction"
            )
        if self.label_subset_seed < 0:
            raise ConfigError(
                f"label_subset_seed is {self.label_subset_seed}, but has to be 0 or more; correct label_subset_seed"
            )
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError(
                f"label_smoothing is {self.label_smoothing}, but has to be 0 or more and below 1; "
                "correct label_smoothing"
            )
        if not 0 <= self.cutmix_probability <= 1:
            raise ConfigError(
                f"cutmix_probability is {self.cutmix_probability}, but has to be between 0 and 1; "
                "correct cutmix_probability"
            )
