"""Batch-norm statistics of clean images: masked and augmented training batches leave others behind."""

from collections.abc import Iterable

import torch
from torch import nn


@torch.no_grad()
def recalibrate_batch_norm(encoder: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Replace all running statistics by the average over `batches`, and leave the encoder in evaluation mode.

    Args:
        encoder: Any module with batch norms.
        batches: (B, 3, H, W) float32 normalised images, as they will be seen at inference.
    """
    norms = [module for module in encoder.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative average
    encoder.train()
    for images in batches:
        encoder(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    encoder.eval()
