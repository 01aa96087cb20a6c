"""SimDistill: match the frozen teacher's feature by its direction, and nothing else.

The ablation of CA-DSSL (`tinyedge.ssl.ca_dssl`) without its relational and multi-scale losses: 1 - cos of the head's
output and the teacher's feature, under the same augmentation curriculum.
"""

import torch

from tinyedge.encoders.base import Encoder
from tinyedge.ssl.base import Batch, StepResult, View
from tinyedge.ssl.curriculum import curriculum_strength
from tinyedge.ssl.distillation import Distillation, distillation_head
from tinyedge.ssl.distillation_losses import cosine_loss
from tinyedge.ssl.method_options.simdistill import SimDistillOptions
from tinyedge.ssl.teacher import Teacher


class SimDistill(Distillation):
    """Student and head.

    Args:
        encoder: The student.
        options: See `SimDistillOptions`.
        teacher: What it learns from.
    """

    def __init__(self, encoder: Encoder, options: SimDistillOptions, teacher: Teacher):
        super().__init__(
            encoder,
            teacher,
            student_views=(View(),),
            teacher_view=View("teacher", crop_of=0 if options.share_crop else None),
            cached_views=options.cached_views,
            uses_maps=False,
        )
        self._curriculum = options.curriculum
        self.head = distillation_head(encoder.feature_dim, options.head_width, teacher.feature_dim)

    def view_strength(self, progress: float) -> float:
        """Return the curriculum's strength."""
        return curriculum_strength(self._curriculum, progress)

    def forward(self, batch: Batch, generator: torch.Generator, progress: float) -> StepResult:
        """Match the direction of the teacher's feature."""
        target = self.targets(batch, generator)
        loss = cosine_loss(self.head(self.encoder(batch.views[0])), target.features)
        return StepResult(loss, {"loss": loss.detach()})
