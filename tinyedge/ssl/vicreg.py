"""VICReg (Bardes et al. 2022, "Variance-Invariance-Covariance Regularization"): its three terms and its projector."""

import torch
import torch.nn.functional as F
from torch import nn


def invariance_loss(z1: torch.Tensor, z2: torch.Tensor) -> torch.Tensor:
    """Return the mean squared difference of two views' embeddings (B, D), over batch and dimensions."""
    return F.mse_loss(z1, z2)


def variance_loss(z: torch.Tensor) -> torch.Tensor:
    """Return mean_d relu(1 - sqrt(var_d + 1e-4)) of embeddings (B, D): 0 once each dimension's deviation is 1."""
    return F.relu(1 - (z.var(dim=0) + 1e-4).sqrt()).mean()


def covariance_loss(z: torch.Tensor) -> torch.Tensor:
    """Return the sum of the squared off-diagonal covariances of embeddings (B, D), over D."""
    centred = z - z.mean(dim=0)
    covariance = centred.T @ centred / (len(z) - 1)  # (D, D)
    # The diagonal's squares leave by subtraction: cheaper than a mask over (D, D).
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / z.shape[1]


class Projector(nn.Sequential):
    """Feature (B, D) to embedding (B, width): Linear, batch norm, ReLU, Linear. Discarded after pretraining."""

    def __init__(self, feature_dim: int, width: int):
        super().__init__(
            nn.Linear(feature_dim, width, bias=False), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, width)
        )
