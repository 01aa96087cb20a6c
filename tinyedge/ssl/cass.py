"""CASS: a convolutional network and a transformer agree on the same image.

Singh & Cirrone 2022, "CASS: Cross Architectural Self-Supervision for Medical Image Analysis" (arXiv 2206.04170); code
https://github.com/pranavsinghps1/CASS, notebook CASS.ipynb. The pair differs by architecture alone: with `views` 1 both
arms see the identical tensor, and there are no negatives, no momentum and no stop-gradient.

Deviations from the notebook:

* Both arms start from random weights, not from supervised ImageNet weights. Nothing in the loss then forbids a constant
  output, so `guard` does: `batch-norm` compares embeddings of mean 0 and deviation 1 in each dimension, and
  `decorrelate` also takes their covariances off the diagonal into the loss, without which all dimensions may become the
  same one; `none` is the notebook's loss, and training stops when an arm has collapsed.
* Embeddings are compared after one linear layer of 256 an arm, not as 1,000 class logits.
* Gradients are zeroed before each step. The notebook accumulates them over all steps, as nothing zeroes them.
* All images train. The notebook's loader for pretraining reads the images of the labelled tenth alone.
* The views are those of other joint-embedding methods (crops from 0.2, colour jitter, grey) instead of light colour
  jitter, perspective and affine maps of whole images, which are too easy a task from random weights.
* One AdamW with one schedule for both arms, instead of two Adams whose rate goes up and down every 32 steps.

Either arm can be deployed if a microcontroller can run it: the partner is written as a run of its own.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from tinyedge.encoders.base import Encoder
from tinyedge.encoders.registry import create_encoder
from tinyedge.ssl.base import Batch, PretrainingMethod, StepResult, View
from tinyedge.ssl.byol import direction_loss
from tinyedge.ssl.collapse import check_collapse, mean_feature_std
from tinyedge.ssl.distributed import gather_rows
from tinyedge.ssl.method_options.cass import CassOptions
from tinyedge.ssl.vicreg import covariance_loss

# How often the arms' deviations are read: waiting for them on each step would idle a GPU.
_LOOK_EVERY_STEPS = 10


class Cass(PretrainingMethod):
    """Two encoders and a linear projection of each.

    Args:
        encoder: The arm that the run is named after.
        options: See `CassOptions`.

    Raises:
        ConfigError: The partner is unknown or cannot be built for the encoder's images.
    """

    steps: torch.Tensor
    spread_sums: torch.Tensor

    def __init__(self, encoder: Encoder, options: CassOptions):
        super().__init__()
        self.encoder = encoder
        self.options = options
        self.views = (View(),) * options.views
        self.partner = create_encoder(
            options.partner,
            input_size=encoder.input_size,
            act=options.partner_act,
            channels=encoder.channels,
            enforce_budget=False,
        )
        self.project = nn.Linear(encoder.feature_dim, options.embedding_dim, bias=False)
        self.project_partner = nn.Linear(self.partner.feature_dim, options.embedding_dim, bias=False)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("spread_sums", torch.zeros(2))
        self._steps_done: int | None = None  # `steps`, once it was read: to read it on each step would idle a GPU

    def forward(self, batch: Batch, generator: torch.Generator, progress: float) -> StepResult:
        """Compare the arms' embeddings of the global batch."""
        images = torch.cat(batch.views) if len(batch.views) > 1 else batch.views[0]  # (V B, C, H, W)
        embeddings = (self.project(self.encoder(images)), self.project_partner(self.partner(images)))
        with torch.autocast(images.device.type, enabled=False):
            own, other = (gather_rows(z.float()) for z in embeddings)  # (V B, D): first all first views
            if self.options.guard != "none":
                own, other = _standardise(own), _standardise(other)
            spreads = self._spread(own), self._spread(other)
            # Rolling by B puts the other arm's embedding of the other view beside each one.
            shift = len(own) // 2 if len(batch.views) == 2 else 0
            agreement = direction_loss(own, other.roll(shift, dims=0))
            loss = agreement
            if self.options.guard == "decorrelate":
                loss = loss + self.options.covariance_weight * (covariance_loss(own) + covariance_loss(other))
        metrics = {
            "loss": loss,
            "loss_agreement": agreement,
            "arm_std": spreads[0],
            "partner_std": spreads[1],
        }
        return StepResult(loss, {key: value.detach() for key, value in metrics.items()})

    def after_step(self, metrics: dict[str, torch.Tensor]) -> None:
        """Stop when an arm gives the same embedding for every image.

        Raises:
            TrainingError: An arm has collapsed.
        """
        done = (int(self.steps) if self._steps_done is None else self._steps_done) + 1
        self._steps_done = done
        self.steps.fill_(done)
        self.spread_sums += torch.stack([metrics["arm_std"], metrics["partner_std"]])
        if done % _LOOK_EVERY_STEPS == 0:
            # The mean over those steps: a single one of a transformer that warms up can be low.
            for spread in (self.spread_sums / _LOOK_EVERY_STEPS).tolist():
                check_collapse(spread, self.options.embedding_dim, done)
            self.spread_sums.zero_()

    def branches(self) -> dict[str, Encoder]:
        """Return the other arm, under the name of its encoder."""
        return {self.partner.name: self.partner}

    def _spread(self, z: torch.Tensor) -> torch.Tensor:
        """Return the mean deviation a dimension at unit length: 1/sqrt(D) when healthy, 0 when collapsed."""
        # After a batch norm a constant leaves rounding noise, which a normalisation would blow up to full length.
        if self.options.guard != "none":
            return z.std(dim=0).mean() / math.sqrt(z.shape[1])
        return mean_feature_std(z)


def _standardise(z: torch.Tensor) -> torch.Tensor:
    """Return embeddings (B, D) with mean 0 and deviation 1 in each dimension: a batch norm without parameters."""
    return F.batch_norm(z, None, None, training=True)
