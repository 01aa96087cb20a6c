"""The baseline below all others: random weights, batch-norm statistics from data."""

import torch

from tinyedge.encoders.base import Encoder
from tinyedge.ssl.base import Batch, PretrainingMethod, StepResult


class RandomInit(PretrainingMethod):
    """An encoder that is not trained; the loop only averages its batch-norm statistics."""

    views = ()

    def __init__(self, encoder: Encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, batch: Batch, generator: torch.Generator, progress: float) -> StepResult:
        """Refuse: there is no training step."""
        raise NotImplementedError("random initialisation has no training step")
