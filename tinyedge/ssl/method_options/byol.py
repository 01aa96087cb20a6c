"""Options of the method of `tinyedge.ssl.byol`."""

from dataclasses import dataclass

from tinyedge.errors import ConfigError
from tinyedge.ssl.options import check_options


@dataclass(frozen=True)
class ByolOptions:
    """What can be chosen about BYOL.

    Attributes:
        projector_hidden: Width of the hidden layer of projector and predictor.
        embedding_dim: Length of the embeddings that are compared.
        momentum: How much of the target stays at the first step; rises to 1 with half a cosine.
    """

    projector_hidden: int = 1024
    embedding_dim: int = 256
    momentum: float = 0.99

    def __post_init__(self) -> None:
        if not 0 <= self.momentum <= 1:
            raise ConfigError(f"momentum is {self.momentum}, but has to be between 0 and 1; correct momentum")
        check_options(self, positive=("projector_hidden", "embedding_dim"))
