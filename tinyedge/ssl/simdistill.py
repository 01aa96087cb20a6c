"""SimDistill: match the frozen teacher's feature by its direction, and nothing else.

The ablation of CA-DSSL (`tinyedge.ssl.ca_dssl`) without its relational and multi-scale losses: 1 - cos of the head's
output and the teacher's feature, under the same augmentation curriculum.
"""

from dataclasses import dataclass

import torch

from tinyedge.encoders.base import Encoder
from tinyedge.errors import ConfigError
from tinyedge.ssl.base import Batch, StepResult, View
from tinyedge.ssl.curriculum import CURRICULA, curriculum_strength
from tinyedge.ssl.distillation import Distillation, distillation_head
from tinyedge.ssl.distillation_losses import cosine_loss
from tinyedge.ssl.options import check_options, unknown_name
from tinyedge.ssl.teacher import Teacher


@dataclass(frozen=True)
class SimDistillOptions:
    """What can be chosen about SimDistill.

    Attributes:
        head_width: Hidden width of the head.
        curriculum: `linear`, `3phase` or `off`, see `tinyedge.ssl.curriculum`.
        share_crop: Whether the teacher sees the student's crop rather than one of its own.
        cached_views: Weak views of each image whose teacher features are computed once and kept; 0 runs the teacher in
            every step.
    """

    head_width: int = 256
    curriculum: str = "linear"
    share_crop: bool = True
    cached_views: int = 0

    def __post_init__(self) -> None:
        check_options(self, positive=("head_width",), not_negative=("cached_views",))
        if self.curriculum not in CURRICULA:
            raise ConfigError(unknown_name("curriculum", self.curriculum, CURRICULA))


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
