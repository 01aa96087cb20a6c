"""Options of the method of `tinyedge.ssl.emp_ssl`."""

from dataclasses import dataclass

from tinyedge.errors import ConfigError
from tinyedge.ssl.options import check_options


@dataclass(frozen=True)
class EmpSslOptions:
    """What can be chosen about EMP-SSL.

    Attributes:
        patches: Crops of each image in a step, K.
        invariance_weight: Of the cosine between each crop's embedding and the mean of its image's.
        rate_weight: Of the coding rate; the published 1 to 200.
        rate_eps: Distortion in the coding rate.
        projector_hidden: Width of the projector's hidden layer.
        embedding_dim: Length of the embeddings.
    """

    patches: int = 8
    invariance_weight: float = 1.0
    rate_weight: float = 0.005
    rate_eps: float = 0.2
    projector_hidden: int = 1024
    embedding_dim: int = 256

    def __post_init__(self) -> None:
        for key, least in (("patches", 2), ("projector_hidden", 1), ("embedding_dim", 2)):
            if getattr(self, key) < least:
                raise ConfigError(
                    f"{key} is {getattr(self, key)}, but has to be at least {least}; give {least} or more"
                )
        check_options(self, positive=("invariance_weight", "rate_weight", "rate_eps"))
