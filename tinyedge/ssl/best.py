"""The recipe for the best encoder: all that distillation offers, and VICReg between the student's own views.

No paper has this sum. Its parts: the cosine to the teacher's feature, SEED's similarities over a long queue
(`tinyedge.ssl.seed`), the multi-scale cosine of CA-DSSL (`tinyedge.ssl.ca_dssl`), and VICReg (`tinyedge.ssl.vicreg`)
between two student views, which keeps the feature's rank up where the teacher's targets alone would not. Teacher and
student see the same crop and only the student its colours ("consistent teaching", Beyer et al. 2022, "Knowledge
distillation: A good teacher is patient and consistent"), and `mixup` is that paper's function matching, with the
teacher's features mixed instead of the teacher run on the mixture, so that they may come from the cache. A head of wide
output, but narrow hidden layer, follows DisCo (arXiv 2104.09124). The last step's
weights are kept, unless the run's `ema_decay` asks for their average.
"""

import torch
import torch.nn.functional as F

from tinyedge.encoders.base import Encoder
from tinyedge.ssl.base import Batch, StepResult, View
from tinyedge.ssl.distillation import Distillation, distillation_head
from tinyedge.ssl.distillation_losses import MultiScaleDistillation, cosine_loss, relational_loss, similarity_loss
from tinyedge.ssl.distillation_queue import FeatureQueue
from tinyedge.ssl.distributed import gather_rows, own_rows, world_size
from tinyedge.ssl.method_options.best import BestOptions
from tinyedge.ssl.projector import Projector
from tinyedge.ssl.teacher import Teacher, TeacherOutput
from tinyedge.ssl.vicreg import vicreg_loss


class Best(Distillation):
    """Student, head, adapters, queue and projector.

    Args:
        encoder: The student.
        options: See `BestOptions`.
        teacher: What it learns from.
    """

    def __init__(self, encoder: Encoder, options: BestOptions, teacher: Teacher):
        views = 2 if options.vicreg_weight > 0 else options.distilled_views
        super().__init__(
            encoder,
            teacher,
            student_views=(View(),) * views,
            teacher_view=View("teacher", crop_of=0),
            cached_views=options.cached_views,
            uses_maps=options.multi_scale_weight > 0,
            cached_grid=options.cached_grid,
        )
        self.options = options
        self._student_views = views
        targets = options.target_coordinates or teacher.feature_dim
        self.head = distillation_head(encoder.feature_dim, options.head_width, targets)
        self.queue = FeatureQueue(options.queue_size, targets) if options.relational_weight > 0 else None
        scales = len(teacher.map_channels)
        self.multi_scale = (
            MultiScaleDistillation(encoder.map_channels()[-scales:], teacher.map_channels)
            if options.multi_scale_weight > 0
            else None
        )
        self.projector = Projector(encoder.feature_dim, options.projector_width) if options.vicreg_weight > 0 else None

    def prepare(self, images: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        """Run the teacher ahead where its features are cached, and whiten them where their coordinates are matched."""
        super().prepare(images, mean, std)
        if self._cache is not None and self.options.target_coordinates:
            self._cache = self._cache.whitened(self.options.target_coordinates)

    def forward(self, batch: Batch, generator: torch.Generator, progress: float) -> StepResult:
        """Match the teacher on the distilled views, and the two student views with each other."""
        options, count = self.options, len(batch.indices)
        views = batch.views[: self._student_views]
        target = known = self.targets(batch, generator)
        if options.mixup > 0:
            views, target = mix_with_others(views, target, options.mixup, generator)
        maps = self.encoder.forward_maps(torch.cat(views))  # all views in one pass
        features = self.encoder.feature(maps)  # (views * B, D)
        predicted = self.head(features[: options.distilled_views * count])
        wanted = target.features.repeat(options.distilled_views, 1)
        loss = cosine_loss(predicted, wanted)
        metrics = {"loss_cosine": loss}
        if self.queue is not None:
            relational = relational_loss(
                predicted, wanted, self.queue.read(), options.student_temperature, options.teacher_temperature
            )
            loss = loss + options.relational_weight * relational
            metrics["loss_relational"] = relational
            self.queue.push(known.features)
        if options.similarity_weight > 0:
            distilled = features[: options.distilled_views * count]
            similarity = similarity_loss(gather_rows(distilled), gather_rows(wanted))
            loss = loss + options.similarity_weight * similarity
            metrics["loss_similarity"] = similarity
        if self.multi_scale is not None:
            first = [feature_map[:count] for feature_map in maps[-len(target.maps) :]]
            multi_scale = self.multi_scale(first, target.maps)
            loss = loss + options.multi_scale_weight * multi_scale
            metrics["loss_multi_scale"] = multi_scale
        loss = loss * (1 + progress * (options.final_teacher_weight - 1))
        if self.projector is not None:
            z1, z2 = (gather_rows(z) for z in self.projector(features).float().chunk(2))
            weights = (options.vicreg_invariance, options.vicreg_variance, options.vicreg_covariance)
            vicreg, terms = vicreg_loss(z1, z2, weights)
            loss = loss + options.vicreg_weight * vicreg
            metrics |= terms
        return StepResult(loss, {key: value.detach() for key, value in {"loss": loss, **metrics}.items()})


@torch.no_grad()
def mix_with_others(
    views: tuple[torch.Tensor, ...], target: TeacherOutput, share: float, generator: torch.Generator
) -> tuple[tuple[torch.Tensor, ...], TeacherOutput]:
    """Mix images with others of the global batch, and what the teacher says of them with what it says of the others.

    Row i of N meets row N - 1 - i: the order of the batch is random already.

    Args:
        views: (B, C, H, W) each, this rank's rows; all are mixed alike.
        target: Features (B, D), mixed at unit length, and maps (B, C_i, H_i, W_i).
        share: Of the images that are mixed.
        generator: Draws the proportions, uniform in [0, 1); in the same state on every rank.
    """
    rows = len(target.features) * world_size()
    drawn = torch.rand(2, rows, generator=generator, device=target.features.device)
    weight = own_rows(torch.where(drawn[0] < share, drawn[1], 1.0))  # (B,) of the image itself

    def mix(x: torch.Tensor) -> torch.Tensor:
        other = own_rows(gather_rows(x).flip(0))
        return other.lerp(x, weight.to(x).view(-1, *[1] * (x.ndim - 1)))

    features = mix(F.normalize(target.features, dim=1))
    maps = tuple(mix(F.normalize(level, dim=1)) for level in target.maps)
    return tuple(mix(view) for view in views), TeacherOutput(features, maps)
