"""VICReg with gates on both views: the baseline that pretraining a dense network alongside is compared with.

One network, one set of norms, and the mean of both views' gate losses beside VICReg, as the gating paper describes its
baseline (https://github.com/KrishnaTarun/Unification has no script for it, so the rest is as in `vicreg_dual`).

There is no dense network to keep. The run's encoder is the statically pruned one at full width: it computes the same
features as `branches/gated`, which is narrower and costs less; the channels that pruning removes there are zero here.
"""

import torch

from tinyedge.encoders.base import Encoder
from tinyedge.ssl.base import Batch, PretrainingMethod, StepResult, View
from tinyedge.ssl.distributed import gather_rows
from tinyedge.ssl.gating import GatedEncoder
from tinyedge.ssl.method_options.gated_vicreg import GatedVicRegOptions
from tinyedge.ssl.projector import Projector
from tinyedge.ssl.pruning import pruned_encoder, silence_channels
from tinyedge.ssl.vicreg import vicreg_loss
from tinyedge.ssl.vicreg_dual import (
    GATED_BRANCH,
    CleanImages,
    fix_when_due,
    gate_budget,
    gated_pass,
    kept_channels,
    weighted_gate_losses,
)


class VicRegGating(PretrainingMethod):
    """Gated encoder and projector.

    Args:
        encoder: The encoder to pretrain; gated until `finish`.
        options: See `GatedVicRegOptions`.

    Raises:
        ConfigError: The encoder has no hidden channels to gate, or the target density cannot be reached.
    """

    views = (View(), View())
    encoder: GatedEncoder

    def __init__(self, encoder: Encoder, options: GatedVicRegOptions):
        super().__init__()
        self.options = options
        self.budget = gate_budget(encoder, options)
        self.encoder = GatedEncoder(encoder)
        self.projector = Projector(encoder.feature_dim, options.projector_width, layers=options.projector_layers)
        self._sample: CleanImages | None = None
        self._pruned: Encoder | None = None

    def prepare(self, images: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        """Remember the images that pruning asks the gates about."""
        self._sample = CleanImages(images, mean, std)

    def forward(self, batch: Batch, generator: torch.Generator, progress: float) -> StepResult:
        """Compare both views of the gated network."""
        fix_when_due(self.encoder, self._sample, self.budget, progress, self.options)
        passes = [gated_pass(self.encoder, view, generator, progress, self.options) for view in batch.views]
        z1, z2 = (gather_rows(self.projector(gated.features).float()) for gated in passes)
        loss, terms = vicreg_loss(z1, z2, self.options.weights)
        first, second = (weighted_gate_losses(self.budget, gated.masks, progress, self.options) for gated in passes)
        loss = loss + (first[0] + second[0]) / 2
        measures = {key: (first[1][key] + second[1][key]) / 2 for key in first[1]}
        return StepResult(loss, {key: value.detach() for key, value in {"loss": loss, **terms, **measures}.items()})

    def finish(self) -> None:
        """Prune: remove the gates from the encoder, and silence the channels that they rarely open."""
        if self._sample is None:
            return
        kept = kept_channels(self.encoder, self._sample, self.budget, self.options)
        self._pruned = pruned_encoder(self.encoder, kept)
        silence_channels(self.encoder, kept)
        self.encoder.remove_gates()

    def branches(self) -> dict[str, Encoder]:
        """Return the pruned encoder; none before `finish`."""
        return {} if self._pruned is None else {GATED_BRANCH: self._pruned}
