"""SimCLR: each view finds the other view of its image among all other images.

Chen et al. 2020, "A Simple Framework for Contrastive Learning of Visual Representations"; constants for CIFAR from
solo-learn (https://github.com/vturrisi/solo-learn, scripts/pretrain/cifar/simclr.yaml), temperature 0.2 among them.

Deviations, all for encoders below 1,000,000 parameters: a projector D-512-128 instead of D-2048-256, since a head much
larger than the encoder does the learning in its place; weaker colour jitter, no blur at 32 pixels and crops of 0.2 and
up (the preset `strong`); AdamW instead of LARS.
"""

import torch

from tinyedge.encoders.base import Encoder
from tinyedge.ssl.base import Batch, PretrainingMethod, StepResult, View
from tinyedge.ssl.contrastive import nt_xent_loss
from tinyedge.ssl.distributed import gather_rows
from tinyedge.ssl.method_options.simclr import SimClrOptions
from tinyedge.ssl.projector import Projector


class SimClr(PretrainingMethod):
    """Encoder and projector.

    Args:
        encoder: The encoder to pretrain.
        options: See `SimClrOptions`.
    """

    views = (View(), View())
    any_view_size = True

    def __init__(self, encoder: Encoder, options: SimClrOptions):
        super().__init__()
        self.encoder = encoder
        self.projector = Projector(encoder.feature_dim, options.projector_hidden, options.embedding_dim)
        self._temperature = options.temperature

    def forward(self, batch: Batch, generator: torch.Generator, progress: float) -> StepResult:
        """Contrast both views of the global batch."""
        embeddings = self.projector(self.encoder(torch.cat(batch.views)))  # (2 B, D): both views in one pass
        z1, z2 = (gather_rows(z) for z in embeddings.float().chunk(2))
        loss = nt_xent_loss(z1, z2, self._temperature)
        return StepResult(loss, {"loss": loss.detach()})
