"""Batch-norm statistics of clean images: masked and augmented training batches leave others behind."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn


@torch.no_grad()
def recalibrate_batch_norm(encoder: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Replace all running statistics by the average over `batches`, and leave the encoder in evaluation mode.

    Args:
        encoder: Any module with batch norms.
        batches: (B, 3, H, W) float32 normalised images, as they will be seen at inference.
    """
    norms = _batch_norms(encoder)
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


@contextmanager
def batch_statistics(encoder: nn.Module) -> Iterator[None]:
    """Let a module in training mode normalise by the statistics of each batch without recording them."""
    norms = _batch_norms(encoder)
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def _batch_norms(encoder: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    return [module for module in encoder.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
