"""Options of the method of `tinyedge.ssl.vicreg`."""

from dataclasses import dataclass

from tinyedge.errors import ConfigError
from tinyedge.ssl.options import check_options


@dataclass(frozen=True)
class VicRegOptions:
    """What can be chosen about VICReg.

    Attributes:
        projector_width: Width of the projector's layers and of the embedding.
        projector_layers: Linear layers of the projector.
        invariance_weight: Of the squared difference.
        variance_weight: Of the hinges on both views' deviations.
        covariance_weight: Of both views' off-diagonal covariances.
    """

    projector_width: int = 1024
    projector_layers: int = 3
    invariance_weight: float = 25.0
    variance_weight: float = 25.0
    covariance_weight: float = 1.0

    def __post_init__(self) -> None:
        for key, least in (("projector_width", 2), ("projector_layers", 2)):
            if getattr(self, key) < least:
                raise ConfigError(
                    f"{key} is {getattr(self, key)}, but has to be at least {least}; give {least} or more"
                )
        check_options(self, not_negative=("invariance_weight", "variance_weight", "covariance_weight"))
