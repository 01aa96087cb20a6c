"""Features of a frozen encoder."""

import torch

from tinyedge.data.augment import normalise
from tinyedge.encoders.base import Encoder


@torch.inference_mode()
def extract_features(
    encoder: Encoder,
    images: torch.Tensor,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    batch_size: int = 256,
) -> torch.Tensor:
    """Return the pooled features of images that are not augmented, with batch norm's running statistics.

    Args:
        encoder: Left as it came, its training mode included.
        images: (N, 3, H, W) uint8, anywhere.
        mean: Per channel, for images in [0, 1].
        std: Per channel, for images in [0, 1].
        batch_size: Images a forward pass; the result does not depend on it but for rounding.

    Returns:
        (N, D) float32 on the CPU.
    """
    parameter = next(encoder.parameters(), None)
    device = torch.device("cpu") if parameter is None else parameter.device
    was_training = encoder.training
    encoder.eval()
    try:
        features = torch.empty(len(images), encoder.feature_dim)
        for start in range(0, len(images), batch_size):
            batch = normalise(images[start : start + batch_size].to(device), mean, std)
            features[start : start + batch_size] = encoder(batch.contiguous(memory_format=torch.channels_last)).float()
    finally:
        encoder.train(was_training)
    return features
