"""The baseline below all others: random weights, batch-norm statistics from data."""

import torch

from tinyedge.encoders.base import Encoder
from tinyedge.ssl.base import Batch, PretrainingMethod, StepResult
from tinyedge.ssl.method_options.random_init import RandomInitOptions


class RandomInit(PretrainingMethod):
    """An encoder that is not trained; the loop only averages its batch-norm statistics.

    Args:
        encoder: The encoder to keep as it is.
        options: See `RandomInitOptions`.
    """

    views = ()

    def __init__(self, encoder: Encoder, options: RandomInitOptions):
        super().__init__()
        self.encoder = encoder

    def forward(self, batch: Batch, generator: torch.Generator, progress: float) -> StepResult:
        """Refuse: there is no training step."""
        raise NotImplementedError("random initialisation has no training step")
