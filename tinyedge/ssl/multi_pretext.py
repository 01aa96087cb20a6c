"""Multi-pretext pretraining: reconstruct masked tokens and recognise rolled ones in one forward pass.

The seed system of "Self-Supervised Learning for CNN-Transformer Hybrids under Parameter and Label Constraints"
(https://github.com/cepdnaclk/e20-4yp-Self-Supervised-Learning-for-CNN-Transformer-Hybrids-under-Parameter-and-Label-Constraints,
docs/README.md; no code is public). What the text leaves open is decided here:

* Corruption acts inside the encoder (`stage3`), so that the encoder has to repair it; the literal reading (`stage4`)
  corrupts its output, which leaves the encoder no corruption to resolve. `input+stage3` blanks the masked cells' pixels
  too, in blocks, since overlapping convolutions leak them otherwise.
* Reconstruction targets are normalised pixels or, better, codes of the patches around a cell (`cell_codes`): the
  encoder's own tokens as targets have a collapsed optimum, and an average of the encoder as their source, which would
  avoid it, is not offered.
* With the default strides stage 4 has half of stage 3's grid, so each decoded token restores 2 x 2 cells; strides that
  end in 1 keep a token a cell, for 1.2 times the multiply-accumulates at 32 pixels.
* Losses are compared relative to their chance level, because a squared error and a cross entropy are not commensurate.
* The gradient reversal stops at chance, see `_oppose`.
* `vicreg_weight` adds VICReg between the corrupted view and a clean second view.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from tinyedge.encoders.base import Encoder
from tinyedge.encoders.evaluation_mode import evaluating
from tinyedge.encoders.registry import LAST_STAGE
from tinyedge.errors import ConfigError
from tinyedge.ssl.base import Batch, PretrainingMethod, StepResult, View
from tinyedge.ssl.cell_codes import CellCodes
from tinyedge.ssl.corruption import CorruptionPlan, blank_cells, cell_targets, corrupt_tokens, draw_corruption
from tinyedge.ssl.decoder import PretextDecoder, discriminator, reconstruction_head, rotation_head
from tinyedge.ssl.distributed import gather_rows, mean_over_ranks, own_rows, world_size
from tinyedge.ssl.gradient_reversal import reversal_scale, reverse_gradient
from tinyedge.ssl.method_options.multi_pretext import MultiPretextOptions
from tinyedge.ssl.projector import Projector
from tinyedge.ssl.scheduler import DynamicCorruptionScheduler
from tinyedge.ssl.vicreg import vicreg_loss

_SHIFTS = 3
_QUADRANTS = 4
_LEAST_TOKENS = 4


class MultiPretext(PretrainingMethod):
    """Encoder, decoder, heads, adversaries and (with VICReg) projector.

    Args:
        encoder: The encoder to pretrain.
        options: See `MultiPretextOptions`.

    Raises:
        ConfigError: The encoder's grid is too coarse to corrupt, or does not divide the images into equal cells; or its
            feature is of more than its last stage.
    """

    def __init__(self, encoder: Encoder, options: MultiPretextOptions):
        super().__init__()
        if encoder.feature_stages != LAST_STAGE:
            given = ",".join(map(str, encoder.feature_stages))
            raise ConfigError(
                f"the pretext tasks read the tokens of stage 4, and the feature is of stages {given}; give "
                "--feature-stages 4, or --method best, vicreg or another"
            )
        self.encoder = encoder
        self.options = options
        self.views = (View(), View()) if options.vicreg_weight > 0 else (View(),)
        self.stage = 4 if options.corrupt_at == "stage4" else 3
        tokens, channels, out_tokens = _token_shapes(encoder, self.stage)
        self.grid = math.isqrt(tokens)
        if tokens < _LEAST_TOKENS or encoder.input_size % self.grid:
            raise ConfigError(
                f"stage {self.stage} gives {self.grid} x {self.grid} tokens for images of {encoder.input_size} pixels; "
                f"corruption needs at least {_LEAST_TOKENS} tokens that divide the image into equal cells; "
                "choose other --strides or another --image-size"
            )
        self.roll_unit = options.roll_unit if options.roll_unit is not None else max(channels // 4, 1)
        if len({shift * self.roll_unit % channels for shift in range(_SHIFTS + 1)}) <= _SHIFTS:
            raise ConfigError(
                f"roll_unit {self.roll_unit} gives shifts of {channels} channels that look alike; "
                "leave out --option roll_unit"
            )
        self.mask_token = nn.Parameter(torch.empty(channels).normal_(std=0.02))
        width = options.decoder_width
        self.decoder = PretextDecoder(
            encoder.feature_dim,
            math.isqrt(out_tokens),
            self.grid,
            width=width,
            layers=options.decoder_layers,
            heads=options.decoder_heads,
            mlp_ratio=options.decoder_mlp_ratio,
        )
        cell = encoder.input_size // self.grid
        classes = _SHIFTS + options.rotation_with_clean
        self.codes = None
        if options.reconstruct == "codes":
            self.codes = CellCodes(
                encoder.input_size, self.grid, encoder.channels, options.code_atoms, options.code_coordinates
            )
        restored = encoder.channels * cell * cell if self.codes is None else options.code_coordinates
        self.reconstruct = reconstruction_head(width, restored)
        self.rotate = rotation_head(width, classes)
        self.shift_adversary = discriminator(width, _SHIFTS) if options.disentangle_weight > 0 else None
        self.mask_adversary = discriminator(width, _QUADRANTS) if options.symmetric_adversary else None
        self.projector = Projector(encoder.feature_dim, options.projector_width) if len(self.views) == 2 else None
        chance = (1.0, math.log(classes)) if options.normalise_losses else (1.0, 1.0)
        self.scheduler = DynamicCorruptionScheduler(options.ema_beta, chance, options.weighting)

    def prepare(self, images: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        """Learn the codes that tokens restore, unless a checkpoint has them; see `PretrainingMethod.prepare`.

        On another machine they may come out with other signs, which the heads of a checkpoint would not know.
        """
        if self.codes is not None and not self.codes.axes.any():
            self.codes.learn(images, mean, std)

    def forward(self, batch: Batch, generator: torch.Generator, progress: float) -> StepResult:
        """Corrupt the first view and solve both tasks on it; with VICReg, match it to the clean second view."""
        images = batch.views[0]
        masked_count, rotated_count = self.scheduler.token_counts(self.grid**2)
        plan = draw_corruption(
            len(images) * world_size(),
            self.grid,
            masked_count,
            rotated_count,
            block=self.options.mask_block,
            shift_per_token=self.options.shift_per_token,
            generator=generator,
        )
        plan = CorruptionPlan(*(own_rows(rows) for rows in (plan.masked, plan.rotated, plan.clean_sample, plan.shifts)))
        visible = blank_cells(images, plan.masked, self.grid) if self.options.corrupt_at == "input+stage3" else images
        tokens = self.encoder.forward_tokens(
            visible, self.stage, lambda clean: corrupt_tokens(clean, plan, self.mask_token, self.roll_unit)
        )  # (B, N_4, D)
        targets = cell_targets(images, self.grid) if self.codes is None else self.codes(images)
        loss, metrics = self._pretext_losses(self.decoder(tokens), targets, plan, generator, progress)
        loss = self.options.pretext_weight * loss
        if self.projector is not None:
            z1, z2 = self.projector(tokens.mean(dim=1)), self.projector(self.encoder(batch.views[1]))
            options = self.options
            weights = (options.vicreg_invariance, options.vicreg_variance, options.vicreg_covariance)
            vicreg, vicreg_metrics = vicreg_loss(gather_rows(z1.float()), gather_rows(z2.float()), weights)
            loss = loss + options.vicreg_weight * vicreg
            metrics |= vicreg_metrics
        metrics = {"loss": loss, **metrics}
        return StepResult(loss, {key: value.detach() for key, value in metrics.items()})

    def after_step(self, metrics: dict[str, torch.Tensor]) -> None:
        """Let the scheduler set the ratios and weights of the next step."""
        self.scheduler.update(metrics["loss_reconstruction"], metrics["loss_rotation"])

    def state_metrics(self) -> dict[str, torch.Tensor]:
        """Return the ratios and weights of the next step."""
        ratios, weights = self.scheduler.ratios, self.scheduler.weights
        return {"ratio_mask": ratios[0], "ratio_rotate": ratios[1], "lambda_1": weights[0], "lambda_2": weights[1]}

    def _pretext_losses(
        self,
        decoded: torch.Tensor,
        targets: torch.Tensor,
        plan: CorruptionPlan,
        generator: torch.Generator,
        progress: float,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        reconstructed = self.reconstruct(decoded)  # (B, N, P)
        with torch.autocast(decoded.device.type, enabled=False):
            error = (reconstructed.float() - targets).square().mean(dim=-1)  # (B, N)
            restored = torch.ones_like(plan.masked) if self.options.reconstruct_clean else plan.masked
            reconstruction = _mean_where(error, restored)
        # Class 0 is "not rolled" where the head has to tell that, so shifts 1..3 start at class 1 or 0.
        with_clean = self.options.rotation_with_clean
        judged = plan.rotated | plan.clean_sample if with_clean else plan.rotated
        shift_classes = plan.shifts * plan.rotated if with_clean else plan.shifts - 1
        rotation, rotation_accuracy = _classify(self.rotate(decoded), shift_classes, judged)
        weights = self.scheduler.weights.clone()  # the next update must not change what backward needs
        loss = weights[0] * reconstruction + weights[1] * rotation
        metrics = {
            "loss_reconstruction": reconstruction,
            "loss_rotation": rotation,
            "rotation_accuracy": rotation_accuracy,
        }
        scale = reversal_scale(progress)
        if self.shift_adversary is not None:
            adversarial, accuracy = _oppose(self.shift_adversary, decoded, plan.shifts - 1, plan.masked, scale)
            loss = loss + self.options.disentangle_weight * adversarial
            metrics |= {"loss_disentangle": adversarial, "discriminator_accuracy": accuracy}
        if self.mask_adversary is not None:
            quadrant = _fullest_quadrant(plan.masked, self.grid, generator).unsqueeze(1).expand_as(plan.masked)
            adversarial, accuracy = _oppose(self.mask_adversary, decoded, quadrant, plan.rotated, scale)
            loss = loss + self.options.disentangle_weight * adversarial
            metrics |= {"loss_mask_disentangle": adversarial, "mask_discriminator_accuracy": accuracy}
        return loss, metrics


def _token_shapes(encoder: Encoder, stage: int) -> tuple[int, int, int]:
    """Return N and C of the tokens that corruption at `stage` sees, and N of the tokens that come out."""
    seen: list[torch.Size] = []

    def record(tokens: torch.Tensor) -> torch.Tensor:
        seen.append(tokens.shape)
        return tokens

    parameter = next(encoder.parameters())
    images = torch.zeros(1, encoder.channels, encoder.input_size, encoder.input_size, device=parameter.device)
    with torch.no_grad(), evaluating(encoder):
        out = encoder.forward_tokens(images, stage, record)
    return seen[0][1], seen[0][2], out.shape[1]


def _mean_where(values: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Return the mean of values (B, N) over the chosen ones (B, N) bool."""
    return (values * chosen).sum() / chosen.sum().clamp(min=1)


def _classify(logits: torch.Tensor, classes: torch.Tensor, chosen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return cross entropy and accuracy of logits (B, N, K) for classes (B, N) over the chosen tokens (B, N)."""
    with torch.autocast(logits.device.type, enabled=False):
        losses = F.cross_entropy(logits.float().transpose(1, 2), classes, reduction="none")  # (B, N)
    correct = (logits.argmax(dim=-1) == classes).float()
    return _mean_where(losses, chosen), _mean_where(correct, chosen)


def _oppose(
    adversary: nn.Module, decoded: torch.Tensor, classes: torch.Tensor, chosen: torch.Tensor, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return cross entropy and accuracy of an adversary, whose gradient is reversed on its way into `decoded`.

    Once the adversary is at chance the reversal rests: a trunk that went on would hide nothing, but encode the class
    backwards (without this, the adversary's accuracy went to zero within 50 steps).
    """
    with torch.no_grad():
        logits = adversary(decoded)
        loss, _ = _classify(logits, classes, chosen)
        scale_now = scale * (mean_over_ranks(loss) < math.log(logits.shape[-1]))
    return _classify(adversary(reverse_gradient(decoded, scale_now)), classes, chosen)


def _fullest_quadrant(masked: torch.Tensor, grid: int, generator: torch.Generator) -> torch.Tensor:
    """Return which quadrant (row-major, 0..3) of each sample has the most masked tokens, (B,) int64.

    Of equally full ones it is any: always the first would be a guess that beats chance.
    """
    cells = torch.arange(grid * grid, device=masked.device)
    half = (grid + 1) // 2
    quadrant = (cells // grid) // half * 2 + (cells % grid) // half  # (N,)
    members = F.one_hot(quadrant, _QUADRANTS).float()  # (N, 4)
    counts = masked.float() @ members  # (B, 4)
    ties = torch.rand(len(counts) * world_size(), _QUADRANTS, generator=generator, device=masked.device)
    return (counts + 0.5 * own_rows(ties)).argmax(dim=1)
