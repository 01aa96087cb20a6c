"""Collapse monitors: whether features still tell images apart."""

import torch
import torch.nn.functional as F

from tinyedge.errors import TrainingError

COLLAPSE_FRACTION = 0.1


def mean_feature_std(features: torch.Tensor) -> torch.Tensor:
    """Return the mean per-dimension deviation of l2-normalised features (B, D): near 1/sqrt(D) when healthy."""
    return F.normalize(features.float(), dim=1).std(dim=0).mean()


def effective_rank(features: torch.Tensor) -> torch.Tensor:
    """Return exp(entropy) of the normalised singular values of centred features (B, D) (Roy & Vetterli 2007)."""
    centred = features.float() - features.float().mean(dim=0)
    # Singular values by the eigenvalues of the smaller Gram matrix; rounding can make them slightly negative.
    gram = centred.T @ centred if len(centred) >= centred.shape[1] else centred @ centred.T
    singular = torch.linalg.eigvalsh(gram).clamp(min=0).sqrt()
    share = singular / singular.sum().clamp(min=torch.finfo(singular.dtype).tiny)
    return torch.exp(torch.special.entr(share).sum())


def check_collapse(feature_std: float, feature_dim: int, step: int) -> None:
    """Stop a run whose features have become the same for every image.

    Args:
        feature_std: `mean_feature_std` of a batch of clean images.
        feature_dim: D.
        step: Where training is, for the message.

    Raises:
        TrainingError: The deviation is below 0.1/sqrt(D).
    """
    limit = COLLAPSE_FRACTION / feature_dim**0.5
    if feature_std < limit:
        # Before any update has come to bear, the images are what is alike.
        advice = (
            "give images that differ, or another --method"
            if step == 1
            else "the last good checkpoint is kept; train again with a lower --lr or another --method"
        )
        raise TrainingError(
            f"the features collapsed at step {step}: their mean deviation is {feature_std:.2e}, below {limit:.2e}; "
            f"{advice}"
        )
