"""Options of the method of `tinyedge.ssl.cass`."""

from dataclasses import dataclass

from tinyedge.errors import ConfigError
from tinyedge.ssl.options import check_options, unknown_name

_GUARDS = ("decorrelate", "batch-norm", "none")


@dataclass(frozen=True)
class CassOptions:
    """What can be chosen about CASS.

    Attributes:
        partner: Encoder of the other arm, see `tinyedge.encoders.registry.encoder_names`.
        partner_act: Activation of the other arm.
        views: 1 as published, where both arms see the same tensor; 2, where each arm matches the other arm's output
            for the other view.
        embedding_dim: Length of the embeddings that are compared.
        guard: What forbids a collapse: `decorrelate`, `batch-norm` or `none`.
        covariance_weight: Of the guard `decorrelate`'s off-diagonal covariances.
    """

    partner: str = "vit_ti"
    partner_act: str = "relu"
    views: int = 1
    embedding_dim: int = 256
    guard: str = "decorrelate"
    covariance_weight: float = 0.04

    def __post_init__(self) -> None:
        if self.guard not in _GUARDS:
            raise ConfigError(unknown_name("guard", self.guard, _GUARDS))
        if self.views not in (1, 2):
            raise ConfigError(f"views is {self.views}, but has to be 1 or 2; correct views")
        if self.embedding_dim < 2:
            raise ConfigError(f"embedding_dim is {self.embedding_dim}, but has to be at least 2; correct embedding_dim")
        check_options(self, not_negative=("covariance_weight",))
