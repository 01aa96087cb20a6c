"""SEED: match the frozen teacher's similarities between images.

Fang et al. 2021, "SEED: Self-supervised Distillation for Visual Representation", section 3.2 and equation 5, with the
reference code's student temperature (https://github.com/jacobswan1/SEED). Teacher and student see the same view.

Deviations: the head's hidden layer is 2048 wide, which for a student of 1280 features gives the parameter count that
TinySSL (arXiv 2605.08241) states for its SEED baseline; the queue has 4096 embeddings instead of 65,536, and the
teacher's temperature is 0.04, since data sets of 50,000 images are meant; the loss is the KL divergence, see
`tinyedge.ssl.distillation_losses.relational_loss`.
"""

from dataclasses import dataclass

import torch
from torch import nn

from tinyedge.encoders.base import Encoder
from tinyedge.ssl.base import Batch, StepResult, View
from tinyedge.ssl.distillation import Distillation
from tinyedge.ssl.distillation_losses import relational_loss
from tinyedge.ssl.distillation_queue import FeatureQueue
from tinyedge.ssl.options import check_options
from tinyedge.ssl.teacher import Teacher


@dataclass(frozen=True)
class SeedOptions:
    """What can be chosen about SEED.

    Attributes:
        head_width: Hidden width of the head.
        queue_size: Teacher embeddings that images are compared with.
        student_temperature: Of the student's similarities.
        teacher_temperature: Of the teacher's; lower is sharper.
        cached_views: Weak views of each image whose teacher features are computed once and kept; 0 runs the teacher in
            every step.
    """

    head_width: int = 2048
    queue_size: int = 4096
    student_temperature: float = 0.2
    teacher_temperature: float = 0.04
    cached_views: int = 0

    def __post_init__(self) -> None:
        positive = ("head_width", "queue_size", "student_temperature", "teacher_temperature")
        check_options(self, positive=positive, not_negative=("cached_views",))


class Seed(Distillation):
    """Student, head (Linear, ReLU, Linear) and queue.

    Args:
        encoder: The student.
        options: See `SeedOptions`.
        teacher: What it learns from.
    """

    def __init__(self, encoder: Encoder, options: SeedOptions, teacher: Teacher):
        super().__init__(
            encoder,
            teacher,
            student_views=(View(),),
            teacher_view=None,
            cached_views=options.cached_views,
            uses_maps=False,
        )
        self._temperatures = (options.student_temperature, options.teacher_temperature)
        self.head = nn.Sequential(
            nn.Linear(encoder.feature_dim, options.head_width),
            nn.ReLU(),
            nn.Linear(options.head_width, teacher.feature_dim),
        )
        self.queue = FeatureQueue(options.queue_size, teacher.feature_dim)

    def forward(self, batch: Batch, generator: torch.Generator, progress: float) -> StepResult:
        """Match the teacher's similarities to the queue."""
        target = self.targets(batch, generator).features
        predicted = self.head(self.encoder(batch.views[0]))
        loss = relational_loss(predicted, target, self.queue.read(), *self._temperatures)
        self.queue.push(target)
        return StepResult(loss, {"loss": loss.detach()})
