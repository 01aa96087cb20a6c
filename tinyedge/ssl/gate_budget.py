"""What gates are trained to spend: the losses that hold their multiply-accumulates at a target.

Both are the gating paper's (KrishnaTarun/Unification, solo/losses; after Li et al. 2021, "Dynamic Slimmable Networks",
and Veit & Belongie 2018). Deviations: the gates' own cost is left out, because the pruned encoder has no gates; the
bounds' target is the density itself, since with one gate per block the cost is linear in it (`sqrt` is the paper's).
"""

import math
from collections.abc import Sequence

import torch
from torch import nn

from tinyedge.encoders.base import Encoder
from tinyedge.encoders.flops import hidden_channel_macs, macs_by_module
from tinyedge.errors import ConfigError
from tinyedge.ssl.distributed import gather_rows
from tinyedge.ssl.gating import gateable_layers


class GateBudget(nn.Module):
    """Losses and measures of masks, for one encoder; it has no weights.

    Args:
        encoder: What is gated, still without its gates.
        target: Share of its multiply-accumulates that are to be left, in (0, 1].
        bound_target: Share of open channels that each layer is held at in the beginning.
        bound_decay: How fast the bounds give way: at the end of training they have exp(-bound_decay) of their width.

    Raises:
        ConfigError: There is nothing to gate, or what is not gated costs more than the target already.
    """

    layer_shares: torch.Tensor

    def __init__(self, encoder: Encoder, target: float, bound_target: float, bound_decay: float):
        super().__init__()
        layers = gateable_layers(encoder)
        macs = macs_by_module(encoder)
        self.full_macs = macs[""]
        self.channel_macs = hidden_channel_macs(encoder, macs)
        gated = sum(macs * layer.channels for macs, layer in zip(self.channel_macs, layers, strict=True))
        self.fixed_macs = self.full_macs - gated
        shares = [macs * layer.channels / self.full_macs for macs, layer in zip(self.channel_macs, layers, strict=True)]
        self.register_buffer("layer_shares", torch.tensor(shares), persistent=False)
        self.target, self.bound_target, self.bound_decay = target, bound_target, bound_decay
        least = self.fixed_macs / self.full_macs
        if target <= least:
            raise ConfigError(
                f"target_density is {target}, but the layers of {encoder.name} that are not gated take {least:.3f} of "
                f"its multiply-accumulates; set --option target_density above {least:.3f}"
            )

    def densities(self, masks: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the share of open channels of each layer (L,) of its masks (B, C), the mean over the global batch."""
        own = torch.stack([mask.mean() for mask in masks])  # (L,)
        return gather_rows(own[None]).mean(dim=0)

    def macs_share(self, densities: torch.Tensor) -> torch.Tensor:
        """Return what densities (L,) leave of all multiply-accumulates."""
        return self.fixed_macs / self.full_macs + (densities * self.layer_shares.to(densities)).sum()

    def budget_loss(self, macs_share: torch.Tensor) -> torch.Tensor:
        """Return (share of multiply-accumulates - target)^2."""
        return (macs_share - self.target).square()

    def bound_loss(self, densities: torch.Tensor, progress: float) -> torch.Tensor:
        """Return the mean over layers of relu(p d - rho)^2 + relu(rho - (1 - p + p d))^2, rho the layer's density.

        p = exp(-bound_decay * progress) falls from 1, where each layer is held at d, towards 0, where all are free.
        """
        p = math.exp(-self.bound_decay * progress)
        below = torch.relu(p * self.bound_target - densities)
        above = torch.relu(densities - (1 - p + p * self.bound_target))
        return (below.square() + above.square()).mean()
