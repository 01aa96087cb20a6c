"""SEED: match the frozen teacher's similarities between images.

Fang et al. 2021, "SEED: Self-supervised Distillation for Visual Representation", section 3.2 and equation 5, with the
reference code's student temperature (https://github.com/jacobswan1/SEED). Teacher and student see the same view.

Deviations: the head's hidden layer is 2048 wide, which for a student of 1280 features gives the parameter count that
TinySSL (arXiv 2605.08241) states for its SEED baseline; the queue has 4096 embeddings instead of 65,536, and the
teacher's temperature is 0.04, since data sets of 50,000 images are meant; the loss is the KL divergence, see
`tinyedge.ssl.distillation_losses.relational_loss`.
"""

import torch
from torch import nn

from tinyedge.encoders.base import Encoder
from tinyedge.ssl.base import Batch, StepResult, View
from tinyedge.ssl.distillation import Distillation
from tinyedge.ssl.distillation_losses import relational_loss
from tinyedge.ssl.distillation_queue import FeatureQueue
from tinyedge.ssl.method_options.seed import SeedOptions
from tinyedge.ssl.teacher import Teacher


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
