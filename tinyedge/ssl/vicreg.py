"""VICReg: two views agree, every dimension varies, and no two dimensions say the same.

Bardes, Ponce & LeCun 2022, "VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning",
section 4.1, with the constants of solo-learn (https://github.com/vturrisi/solo-learn, solo/losses/vicreg.py): the
variance terms of both views are added. The authors' code (https://github.com/facebookresearch/vicreg) halves their sum,
so its variance weight of 25 is 12.5 here.

Deviations: AdamW instead of LARS; a projector of 1024 instead of 2048 or 8192, since a head much larger than an encoder
below 1,000,000 parameters does the learning in its place; views without solarisation, with a saturation of 0.4 for 0.2.
"""

import torch
import torch.nn.functional as F

from tinyedge.encoders.base import Encoder
from tinyedge.ssl.base import Batch, PretrainingMethod, StepResult, View
from tinyedge.ssl.distributed import gather_rows
from tinyedge.ssl.method_options.vicreg import VicRegOptions
from tinyedge.ssl.projector import Projector


def invariance_loss(z1: torch.Tensor, z2: torch.Tensor) -> torch.Tensor:
    """Return the mean squared difference of two views' embeddings (B, D), over batch and dimensions."""
    return F.mse_loss(z1, z2)


def variance_loss(z: torch.Tensor) -> torch.Tensor:
    """Return mean_d relu(1 - sqrt(var_d + 1e-4)) of embeddings (B, D): 0 once each dimension's deviation is 1."""
    return F.relu(1 - (z.var(dim=0) + 1e-4).sqrt()).mean()


def covariance_loss(z: torch.Tensor) -> torch.Tensor:
    """Return the sum of the squared off-diagonal covariances of embeddings (B, D), over D."""
    centred = z - z.mean(dim=0)
    covariance = centred.T @ centred / (len(z) - 1)  # (D, D)
    # The diagonal's squares leave by subtraction: cheaper than a mask over (D, D).
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / z.shape[1]


def vicreg_loss(
    z1: torch.Tensor, z2: torch.Tensor, weights: tuple[float, float, float] = (25.0, 25.0, 1.0)
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Return the weighted sum of the three terms, in float32 whatever autocast says.

    Args:
        z1: (B, D) embeddings of the global batch, B at least 2.
        z2: (B, D), row i of the same image as row i of `z1`.
        weights: Of invariance, variance (of both views, added) and covariance (likewise).

    Returns:
        The loss, and the unweighted terms as `loss_invariance`, `loss_variance` and `loss_covariance`.
    """
    with torch.autocast(z1.device.type, enabled=False):
        z1, z2 = (z.to(torch.promote_types(z.dtype, torch.float32)) for z in (z1, z2))
        terms = {
            "loss_invariance": invariance_loss(z1, z2),
            "loss_variance": variance_loss(z1) + variance_loss(z2),
            "loss_covariance": covariance_loss(z1) + covariance_loss(z2),
        }
        weighted = [weight * term for weight, term in zip(weights, terms.values(), strict=True)]
    return weighted[0] + weighted[1] + weighted[2], terms


class VicReg(PretrainingMethod):
    """Encoder and projector.

    Args:
        encoder: The encoder to pretrain.
        options: See `VicRegOptions`.
    """

    views = (View(), View())
    any_view_size = True

    def __init__(self, encoder: Encoder, options: VicRegOptions):
        super().__init__()
        self.encoder = encoder
        self.projector = Projector(encoder.feature_dim, options.projector_width, layers=options.projector_layers)
        self._weights = (options.invariance_weight, options.variance_weight, options.covariance_weight)

    def forward(self, batch: Batch, generator: torch.Generator, progress: float) -> StepResult:
        """Compare both views' embeddings over the global batch."""
        embeddings = self.projector(self.encoder(torch.cat(batch.views)))  # (2 B, D): both views in one pass
        z1, z2 = (gather_rows(z) for z in embeddings.float().chunk(2))
        loss, terms = vicreg_loss(z1, z2, self._weights)
        return StepResult(loss, {key: value.detach() for key, value in {"loss": loss, **terms}.items()})
