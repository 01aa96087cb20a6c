"""BYOL: predict what a slowly moving copy of the network makes of the other view. The negative control.

Grill et al. 2020, "Bootstrap Your Own Latent", section 3 and equation 2; constants from solo-learn
(https://github.com/vturrisi/solo-learn, scripts/pretrain/cifar/byol.yaml). TinySSL (arXiv 2605.08241) reports that it
collapses on MobileNetV2-0.35, which is why it is here: nothing in its loss forbids a constant.

Deviations: a projector and predictor of 1024 instead of 4096, for encoders below 1,000,000 parameters; both views have
the same augmentation instead of an asymmetric pair; AdamW instead of LARS. As in solo-learn, the target's batch norms
use the statistics of the batch and only its parameters follow the network.
"""

import copy
import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from tinyedge.encoders.base import Encoder
from tinyedge.ssl.base import Batch, PretrainingMethod, StepResult, View
from tinyedge.ssl.method_options.byol import ByolOptions
from tinyedge.ssl.projector import Projector


class Byol(PretrainingMethod):
    """Encoder, projector and predictor, and the target that moves after encoder and projector.

    The target is part of the state, so that a resumed run goes on exactly; it is not trained and not kept.

    Args:
        encoder: The encoder to pretrain.
        options: See `ByolOptions`.
    """

    views = (View(), View())
    any_view_size = True

    def __init__(self, encoder: Encoder, options: ByolOptions):
        super().__init__()
        self.encoder = encoder
        self.projector = Projector(encoder.feature_dim, options.projector_hidden, options.embedding_dim)
        self.predictor = Projector(options.embedding_dim, options.projector_hidden, options.embedding_dim)
        self.target = copy.deepcopy(nn.Sequential(encoder, self.projector)).requires_grad_(False)
        self._first_momentum = options.momentum
        self._momentum = options.momentum

    def forward(self, batch: Batch, generator: torch.Generator, progress: float) -> StepResult:
        """Predict each view's target from the other view, both ways."""
        self._momentum = momentum_at(progress, self._first_momentum)
        images = torch.cat(batch.views)  # (2 B, 3, H, W)
        predicted = self.predictor(self.projector(self.encoder(images)))  # (2 B, D)
        with torch.no_grad():
            target = self.target(images)
        # Rolling by B puts the other view's target beside each prediction.
        loss = direction_loss(predicted, target.roll(len(batch.indices), dims=0))
        return StepResult(loss, {"loss": loss.detach()})

    def after_step(self, metrics: dict[str, torch.Tensor]) -> None:
        """Move the target towards the network that has just been updated."""
        online = [*self.encoder.parameters(), *self.projector.parameters()]
        get_ema_multi_avg_fn(self._momentum)(list(self.target.parameters()), online, None)


def momentum_at(progress: float, first: float) -> float:
    """Return the share of the target that stays: `first` at progress 0, 1 at the end, half a cosine between."""
    return 1 - (1 - first) * (math.cos(math.pi * progress) + 1) / 2


def direction_loss(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the mean squared distance 2 - 2 cos of the directions of (B, D) and (B, D), in [0, 4], in float32."""
    with torch.autocast(predicted.device.type, enabled=False):
        return (2 - 2 * F.cosine_similarity(predicted.float(), target.float(), dim=1)).mean()
