"""Gradient reversal (Ganin & Lempitsky 2015, "Unsupervised Domain Adaptation by Backpropagation")."""

import math
from typing import Any

import torch


class _ReverseGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, scale: float | torch.Tensor) -> torch.Tensor:
        ctx.scale = scale
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return -ctx.scale * gradients[0], None


def reverse_gradient(x: torch.Tensor, scale: float | torch.Tensor) -> torch.Tensor:
    """Return `x`, whose gradient is multiplied by `-scale` (a number or a scalar tensor) on the way back."""
    reversed_: torch.Tensor = _ReverseGradient.apply(x, scale)
    return reversed_


def reversal_scale(progress: float) -> float:
    """Return the ramp 2 / (1 + exp(-10 p)) - 1 for the training progress p in [0, 1]: 0 at the start, to nearly 1."""
    return 2.0 / (1.0 + math.exp(-10.0 * progress)) - 1.0
