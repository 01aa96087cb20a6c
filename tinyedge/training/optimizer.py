"""AdamW and its learning rate."""

import math
from collections.abc import Iterable

import torch
from torch import nn


def create_optimizer(module: nn.Module, weight_decay: float, betas: tuple[float, ...]) -> torch.optim.AdamW:
    """Build AdamW; norms, biases and mask tokens (all that has fewer than two dimensions) do not decay.

    Nor do parts whose class says `no_weight_decay = True`. The learning rate is set before each step, from
    `learning_rate`.
    """
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    parts = [part for part in module.modules() if getattr(part, "no_weight_decay", False) is True]
    exempt = {id(parameter) for part in parts for parameter in part.parameters()}
    decayed = [parameter for parameter in parameters if parameter.ndim >= 2 and id(parameter) not in exempt]
    free = [parameter for parameter in parameters if parameter.ndim < 2 or id(parameter) in exempt]
    groups: Iterable[dict] = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]
    # One pass over the parameters instead of one for each of its operations, where the device has it.
    fused = all(parameter.device.type in ("cpu", "cuda") for parameter in parameters)
    return torch.optim.AdamW(groups, lr=0.0, betas=(betas[0], betas[1]), fused=fused)


def learning_rate(step: int, total_steps: int, warmup_steps: int, *, peak: float, final: float) -> float:
    """Return the rate of a step: linear from near 0 to `peak`, then a half cosine down to `final`.

    Args:
        step: From 0 to `total_steps - 1`.
        total_steps: Steps of the run.
        warmup_steps: Steps of the linear part.
        peak: Rate at its end.
        final: Rate of the last step.
    """
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(total_steps - 1 - warmup_steps, 1)
    return final + 0.5 * (peak - final) * (1 + math.cos(math.pi * min(progress, 1.0)))
