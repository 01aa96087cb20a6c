"""Features of a frozen encoder."""

from collections.abc import Sequence

import torch

from tinyedge.data.augment import normalise
from tinyedge.encoders.base import Encoder
from tinyedge.encoders.evaluation_mode import evaluating


def pooled_features(encoder: Encoder, images: torch.Tensor, stages: Sequence[int] | None = None) -> torch.Tensor:
    """Return the mean over the grid of each stage's map, side by side, (B, sum of C_i).

    Args:
        encoder: Any encoder.
        images: (B, C, H, W) float32, normalised, on the encoder's device.
        stages: From 1 to 4, ascending; None is the encoder's own feature, (B, D).
    """
    if stages is None or tuple(stages) == encoder.feature_stages:
        features: torch.Tensor = encoder(images)
        return features
    return encoder.feature(encoder.forward_maps(images), stages)


@torch.inference_mode()
def extract_features(
    encoder: Encoder,
    images: torch.Tensor,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    batch_size: int = 256,
    stages: Sequence[int] | None = None,
) -> torch.Tensor:
    """Return the pooled features of images that are not augmented, with batch norm's running statistics.

    Args:
        encoder: Left as it came, its training mode included.
        images: (N, C, H, W) uint8, anywhere.
        mean: Per channel, for images in [0, 1].
        std: Per channel, for images in [0, 1].
        batch_size: Images a forward pass; the result does not depend on it but for rounding.
        stages: Whose maps are pooled, see `pooled_features`.

    Returns:
        (N, D) float32 on the CPU.
    """
    device = encoder_device(encoder)
    batches = []
    with evaluating(encoder):
        for batch in images.split(batch_size):
            pixels = normalise(batch.to(device), mean, std).contiguous(memory_format=torch.channels_last)
            batches.append(pooled_features(encoder, pixels, stages).float().cpu())
    return torch.cat(batches)


def encoder_device(encoder: Encoder) -> torch.device:
    """Return where the encoder's weights are; the CPU for one without weights."""
    parameter = next(encoder.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device
