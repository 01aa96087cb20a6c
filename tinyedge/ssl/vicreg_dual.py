"""VICReg with a dense and a gated network in one: two encoders for one pretraining, the second one pruned.

Krishna et al. (https://github.com/KrishnaTarun/Unification, solo/methods/vicreg_gating.py and base_gating.py): the
first view passes the gated network and the second one the dense network; both have the same convolutions, norms of
their own and one projector. VICReg compares the two, and the gates are held at a budget. No gradient is stopped.

With `pruned_share` the gated network is the pruned one towards the end, which the dense one teaches.

Deviations: AdamW instead of LARS; a projector of 1024 instead of 2048 for encoders below 1,000,000 parameters; the
bounds' annealing is a function of progress, which at 500 epochs is the paper's exp(-0.02 epoch). See `gating`,
`gate_budget` and `pruning` for theirs.

The run's own encoder is the dense one. The gated one is pruned to a plain encoder, `branches/gated`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from tinyedge.data.augment import normalise
from tinyedge.encoders.base import Encoder
from tinyedge.ssl.base import Batch, PretrainingMethod, StepResult, View
from tinyedge.ssl.distributed import gather_rows
from tinyedge.ssl.gate_budget import GateBudget
from tinyedge.ssl.gating import GatedEncoder, GatedPass, switchable_copy
from tinyedge.ssl.method_options.gated_vicreg import GatedVicRegOptions
from tinyedge.ssl.projector import Projector
from tinyedge.ssl.pruning import activation_frequencies, channels_above, channels_within, pruned_encoder
from tinyedge.ssl.vicreg import vicreg_loss

GATED_BRANCH = "gated"
_FREQUENCY_BATCH = 256
_FREQUENCY_IMAGES = 4096


class VicRegDual(PretrainingMethod):
    """Dense encoder, gated encoder of the same weights, and projector.

    Args:
        encoder: The encoder to pretrain, which becomes the dense one.
        options: See `GatedVicRegOptions`.

    Raises:
        ConfigError: The encoder has no hidden channels to gate, or the target density cannot be reached.
    """

    views = (View(), View())

    def __init__(self, encoder: Encoder, options: GatedVicRegOptions):
        super().__init__()
        self.encoder = encoder
        self.options = options
        self.budget = gate_budget(encoder, options)
        self.gated = GatedEncoder(switchable_copy(encoder))
        self.projector = Projector(encoder.feature_dim, options.projector_width, layers=options.projector_layers)
        self._sample: CleanImages | None = None

    def prepare(self, images: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        """Remember the images that pruning asks the gates about."""
        self._sample = CleanImages(images, mean, std)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Refuse, as the gated network does: the dense one shares norms with it, which a graph would overwrite."""
        self.gated.compile(*args, **kwargs)

    def forward(self, batch: Batch, generator: torch.Generator, progress: float) -> StepResult:
        """Compare the gated network's first view with the dense network's second one."""
        fix_when_due(self.gated, self._sample, self.budget, progress, self.options)
        features, masks = gated_pass(self.gated, batch.views[0], generator, progress, self.options)
        z1 = gather_rows(self.projector(features).float())
        z2 = gather_rows(self.projector(self.encoder(batch.views[1])).float())
        vicreg, terms = vicreg_loss(z1, z2, self.options.weights)
        gate_loss, measures = weighted_gate_losses(self.budget, masks, progress, self.options)
        loss = vicreg + gate_loss
        return StepResult(loss, {key: value.detach() for key, value in {"loss": loss, **terms, **measures}.items()})

    def branches(self) -> dict[str, Encoder]:
        """Return the gated network as a plain encoder without the channels that its gates rarely open."""
        if self._sample is None:
            return {}
        kept = kept_channels(self.gated, self._sample, self.budget, self.options)
        return {GATED_BRANCH: pruned_encoder(self.gated, kept)}


@dataclass(frozen=True)
class CleanImages:
    """Unlabelled images without augmentation.

    Attributes:
        images: (N, C, H, W) uint8.
        mean: Per channel, for images in [0, 1].
        std: Per channel, for images in [0, 1].
    """

    images: torch.Tensor
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def batches(self) -> Iterator[torch.Tensor]:
        """Yield normalised batches (B, C, H, W), B at least 2, of at most 4,096 images spread over all."""
        spread = self.images[:: math.ceil(len(self.images) / _FREQUENCY_IMAGES)]
        for chunk in spread.split(_FREQUENCY_BATCH):
            if len(chunk) > 1:
                yield normalise(chunk, self.mean, self.std)


def gate_budget(encoder: Encoder, options: GatedVicRegOptions) -> GateBudget:
    """Return the budget that options ask for."""
    density = options.target_density
    bound = math.sqrt(density) if options.bound_target == "sqrt" else density
    return GateBudget(encoder, density, bound, options.bound_decay)


def gated_pass(
    gated: GatedEncoder, images: torch.Tensor, generator: torch.Generator, progress: float, options: GatedVicRegOptions
) -> GatedPass:
    """Return features and masks of normalised images (B, C, H, W); all gates are open during the warm-up."""
    return gated.open(images) if progress < options.gate_warmup else gated.sample(images, generator)


def fix_when_due(
    gated: GatedEncoder, sample: CleanImages | None, budget: GateBudget, progress: float, options: GatedVicRegOptions
) -> None:
    """Fix the channels of a gated network in its last share of the training, and free them where that became longer."""
    if sample is None or not options.pruned_share:
        return
    due = progress >= 1 - options.pruned_share
    if due and not gated.is_fixed:
        gated.fix(kept_channels(gated, sample, budget, options))
    elif not due and gated.is_fixed:
        gated.unfix()


def weighted_gate_losses(
    budget: GateBudget, masks: tuple[torch.Tensor, ...], progress: float, options: GatedVicRegOptions
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Return the weighted sum of both losses of one pass's masks, and what to log of them; 0 during the warm-up."""
    gated_progress = max(0.0, progress - options.gate_warmup) / (1 - options.gate_warmup)
    densities = budget.densities(masks)
    macs_share = budget.macs_share(densities)
    budget_loss, bound_loss = budget.budget_loss(macs_share), budget.bound_loss(densities, gated_progress)
    measures = {
        "loss_budget": budget_loss,
        "loss_bound": bound_loss,
        "gate_density": densities.mean(),
        "macs_share": macs_share,
    }
    loss = options.budget_weight * budget_loss + options.bound_weight * bound_loss
    return loss * float(progress >= options.gate_warmup), measures


def kept_channels(
    gated: GatedEncoder, sample: CleanImages, budget: GateBudget, options: GatedVicRegOptions
) -> list[torch.Tensor]:
    """Return the indices of the channels that pruning keeps in each hidden layer."""
    frequencies = activation_frequencies(gated, sample.batches())
    if options.prune_by == "target":
        most_gated_macs = options.target_density * budget.full_macs - budget.fixed_macs
        return channels_within(frequencies, budget.channel_macs, most_gated_macs)
    return channels_above(frequencies, options.prune_threshold)
