"""CA-DSSL: distil a frozen self-supervised teacher at several scales, under an augmentation that grows stronger.

Wilson 2026, "TinySSL" (arXiv 2605.08241). Only its abstract and first page could be read, and no code is public: the
head's 426,624 parameters are the published count, the rest is reconstructed from the components that the text names.

* Global: 1 - cos of the head's output and the teacher's feature.
* Relational: SEED's loss over a queue of teacher embeddings. Cosines alone leave small convolutional networks with an
  effective rank of about 16 (arXiv 2603.06698); `relational_weight: 0` is the literal reading.
* Multi-scale: 1 - cos of each cell of the last three stages, through 1x1 adapters. MobileNetV2's last map is that of
  its 1280-channel convolution here, not the 112-channel one before it.
* Curriculum: crops and colours start unchanged and reach full strength at 70 % of the training.

The teacher sees the student's crop without its colours, so that their maps align, unless `share_crop` is off. From a
cache the maps of the whole image are read where the student's crop lies.
"""

import torch

from tinyedge.encoders.base import Encoder
from tinyedge.ssl.base import Batch, StepResult, View
from tinyedge.ssl.curriculum import curriculum_strength
from tinyedge.ssl.distillation import Distillation, distillation_head
from tinyedge.ssl.distillation_losses import MultiScaleDistillation, cosine_loss, relational_loss
from tinyedge.ssl.distillation_queue import FeatureQueue
from tinyedge.ssl.method_options.ca_dssl import CaDsslOptions
from tinyedge.ssl.teacher import Teacher


class CaDssl(Distillation):
    """Student, head, adapters and queue.

    Args:
        encoder: The student.
        options: See `CaDsslOptions`.
        teacher: What it learns from.
    """

    def __init__(self, encoder: Encoder, options: CaDsslOptions, teacher: Teacher):
        super().__init__(
            encoder,
            teacher,
            student_views=(View(),),
            teacher_view=View("teacher", crop_of=0 if options.share_crop else None),
            cached_views=options.cached_views,
            uses_maps=options.multi_scale_weight > 0,
            cached_grid=options.cached_grid,
        )
        self.options = options
        self.head = distillation_head(encoder.feature_dim, options.head_width, teacher.feature_dim)
        self.queue = FeatureQueue(options.queue_size, teacher.feature_dim) if options.relational_weight > 0 else None
        scales = len(teacher.map_channels)
        self.multi_scale = (
            MultiScaleDistillation(encoder.map_channels()[-scales:], teacher.map_channels)
            if options.multi_scale_weight > 0
            else None
        )

    def view_strength(self, progress: float) -> float:
        """Return the curriculum's strength."""
        return curriculum_strength(self.options.curriculum, progress)

    def forward(self, batch: Batch, generator: torch.Generator, progress: float) -> StepResult:
        """Match the teacher's feature, its similarities and its maps."""
        options = self.options
        target = self.targets(batch, generator)
        maps = self.encoder.forward_maps(batch.views[0])
        predicted = self.head(self.encoder.feature(maps))  # (B, D_teacher)
        loss = cosine_loss(predicted, target.features)
        metrics = {"loss_cosine": loss}
        if self.queue is not None:
            relational = relational_loss(
                predicted,
                target.features,
                self.queue.read(),
                options.student_temperature,
                options.teacher_temperature,
            )
            loss = loss + options.relational_weight * relational
            metrics["loss_relational"] = relational
            self.queue.push(target.features)
        if self.multi_scale is not None:
            multi_scale = self.multi_scale(maps[-len(target.maps) :], target.maps)
            rise = min(progress / options.multi_scale_warmup, 1.0) if options.multi_scale_warmup > 0 else 1.0
            loss = loss + rise * options.multi_scale_weight * multi_scale
            metrics["loss_multi_scale"] = multi_scale
        return StepResult(loss, {key: value.detach() for key, value in {"loss": loss, **metrics}.items()})
