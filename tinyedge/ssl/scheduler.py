"""The Dynamic Corruption Scheduler: the harder task gets more tokens and more weight."""

import torch
from torch import nn

RATIO_MIN, RATIO_MAX = 0.25, 0.5
WEIGHT_MIN, WEIGHT_MAX = 0.5, 1.5


class DynamicCorruptionScheduler(nn.Module):
    """Exponential averages of the two task losses, and the ratios and weights that follow from them.

    With u_m and u_r the averages of the reconstruction and the rotation loss, each divided by its chance level:
    r_m = clip(u_m / (u_m + u_r), 0.25, 0.5), r_r likewise, lambda_1 = clip(2 u_m / (u_m + u_r), 0.5, 1.5) and
    lambda_2 = 2 - lambda_1. Everything stays on the device, so a step never waits for it.

    Args:
        beta: Decay of the averages; the first value initialises them.
        chance: Loss of a guess, (reconstruction, rotation); (1, 1) compares the raw losses, as the paper's text does.
        weighting: `difficulty` weights the harder task more, `inverse` weights it less (equal magnitudes).
    """

    ema: torch.Tensor
    started: torch.Tensor
    ratios: torch.Tensor
    weights: torch.Tensor
    chance: torch.Tensor

    def __init__(self, beta: float, chance: tuple[float, float], weighting: str):
        super().__init__()
        self.beta = beta
        self.weighting = weighting
        self.register_buffer("chance", torch.tensor(chance), persistent=False)
        self.register_buffer("ema", torch.zeros(2))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))
        self.register_buffer("ratios", torch.full((2,), RATIO_MAX))  # r_m, r_r of the next step
        self.register_buffer("weights", torch.ones(2))  # lambda_1, lambda_2 of the next step

    @torch.no_grad()
    def update(self, reconstruction_loss: torch.Tensor, rotation_loss: torch.Tensor) -> None:
        """Take in the losses of a step, each a scalar, and set `ratios` and `weights` for the next one."""
        losses = torch.stack([reconstruction_loss, rotation_loss]).detach().to(self.ema)
        averaged = torch.where(self.started, self.beta * self.ema + (1 - self.beta) * losses, losses)
        self.ema.copy_(averaged)
        self.started.fill_(True)
        difficulty = self.ema / self.chance
        share = difficulty / difficulty.sum()
        self.ratios.copy_(share.clamp(RATIO_MIN, RATIO_MAX))
        weighted = share if self.weighting == "difficulty" else share.flip(0)  # 1/u_m : 1/u_r = u_r : u_m
        first = (2 * weighted[0]).clamp(WEIGHT_MIN, WEIGHT_MAX)
        self.weights.copy_(torch.stack([first, 2 - first]))

    def token_counts(self, tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return n_m = floor(N r_m) and n_r = floor((N - n_m) r_r), int64 scalars on the device."""
        masked = (tokens * self.ratios[0]).floor()
        rotated = ((tokens - masked) * self.ratios[1]).floor()
        return masked.long(), rotated.long()
