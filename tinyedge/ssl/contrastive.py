"""The contrastive loss NT-Xent (Chen et al. 2020, "A Simple Framework for Contrastive Learning", equation 1)."""

import torch
import torch.nn.functional as F


def nt_xent_loss(z1: torch.Tensor, z2: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return the mean over all 2B embeddings of -log softmax(cosine / temperature) at the image's other view.

    The negatives of an embedding are all 2B - 2 embeddings of other images, in both views. Computed in float32 whatever
    autocast says.

    Args:
        z1: (B, D) embeddings of the global batch, of any length.
        z2: (B, D), row i of the same image as row i of `z1`.
        temperature: Above 0.
    """
    count = len(z1)
    with torch.autocast(z1.device.type, enabled=False):
        z = torch.cat([z1, z2])
        z = F.normalize(z.to(torch.promote_types(z.dtype, torch.float32)), dim=1)  # (2 B, D)
        itself = torch.eye(2 * count, dtype=torch.bool, device=z.device)
        logits = (z @ z.T / temperature).masked_fill(itself, float("-inf"))  # (2 B, 2 B)
        positive = torch.arange(2 * count, device=z.device).roll(count)
        return F.cross_entropy(logits, positive)
