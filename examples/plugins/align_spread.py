"""A pretraining method of one's own in one file: two views of an image agree, the features of a batch spread out.

Wang & Isola 2020, "Understanding Contrastive Representation Learning through Alignment and Uniformity on the
Hypersphere".

    tinyedge train --plugin align_spread.py --method align-spread --option spread_weight=0.5 --out runs/aligned
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from tinyedge import Encoder, PretrainingMethod, register_method
from tinyedge.ssl.base import Batch, StepResult, View
from tinyedge.ssl.distributed import gather_rows
from tinyedge.ssl.options import check_options
from tinyedge.ssl.projector import Projector


def alignment_loss(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the mean squared distance of unit vectors (B, D) of the same images."""
    return (x - y).square().sum(dim=1).mean()


def uniformity_loss(x: torch.Tensor, temperature: float = 2.0) -> torch.Tensor:
    """Return the logarithm of the mean Gaussian potential of all pairs of unit vectors (B, D)."""
    return torch.pdist(x).square().mul(-temperature).exp().mean().log()


@dataclass(frozen=True)
class AlignSpreadOptions:
    """What can be chosen.

    Attributes:
        spread_weight: Of the uniformity.
        projector_width: Width of the projector's layers.
    """

    spread_weight: float = 1.0
    projector_width: int = 128

    def __post_init__(self) -> None:
        check_options(self, positive=("projector_width",), not_negative=("spread_weight",))


@register_method("align-spread", options=AlignSpreadOptions, lr_per_256=3e-3)
class AlignSpread(PretrainingMethod):
    """Encoder and projector."""

    views = (View(), View())

    def __init__(self, encoder: Encoder, options: AlignSpreadOptions):
        super().__init__()
        self.encoder = encoder
        self.projector = Projector(encoder.feature_dim, options.projector_width, layers=2)
        self._spread_weight = options.spread_weight

    def forward(self, batch: Batch, generator: torch.Generator, progress: float) -> StepResult:
        """Compare both views over the global batch."""
        projected = self.projector(self.encoder(torch.cat(batch.views))).float()
        x, y = (gather_rows(F.normalize(z)) for z in projected.chunk(2))
        terms = {
            "loss_align": alignment_loss(x, y),
            "loss_spread": (uniformity_loss(x) + uniformity_loss(y)) / 2,
        }
        loss = terms["loss_align"] + self._spread_weight * terms["loss_spread"]
        return StepResult(loss, {key: value.detach() for key, value in {"loss": loss, **terms}.items()})
