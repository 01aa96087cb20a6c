"""A small vision transformer, which trains other encoders and is not deployed itself.

Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words": pre-norm blocks and a learned position embedding. The feature
is the mean of the tokens instead of a class token, as in Beyer et al. 2022, "Better plain ViT baselines for
ImageNet-1k". All four maps have the grid of the patches.
"""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from tinyedge.encoders.base import Encoder
from tinyedge.encoders.tinynext import ACTIVATIONS
from tinyedge.encoders.tokens import TokenCorruption, map_to_tokens, tokens_to_map
from tinyedge.errors import ConfigError

_STAGES = 4


class SelfAttention(nn.Module):
    """Multi-head self-attention with an output projection."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Map (B, N, D) to (B, N, D)."""
        projected = self.query_key_value(tokens).unflatten(2, (3, self.heads, -1))  # (B, N, 3, heads, D / heads)
        query, key, value = projected.permute(2, 0, 3, 1, 4)  # each (B, heads, N, D / heads)
        mixed = F.scaled_dot_product_attention(query, key, value)
        out: torch.Tensor = self.out(mixed.transpose(1, 2).flatten(2))  # (B, N, D)
        return out


class TransformerBlock(nn.Module):
    """Two residual steps, attention and MLP, each on normed tokens."""

    def __init__(self, width: int, heads: int, hidden: int, act: str):
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), ACTIVATIONS[act](), nn.Linear(hidden, width))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Map (B, N, D) to (B, N, D)."""
        tokens = tokens + self.attention(self.attention_norm(tokens))
        out: torch.Tensor = tokens + self.mlp(self.mlp_norm(tokens))
        return out


class Vit(Encoder):
    """A vision transformer without its classifier; its four stages are quarters of its blocks.

    Args:
        name: Its name in the registry.
        input_size: H = W of the images, in pixels, a multiple of the patch.
        strides: Their product is the side of a patch, in pixels.
        act: Of the MLPs, a key of `tinyedge.encoders.tinynext.ACTIVATIONS`.
        width: D.
        depth: Blocks.
        heads: Attention heads a block.
        channels: C of the images.

    Raises:
        ConfigError: The images are not a multiple of the patch.
    """

    def __init__(
        self,
        name: str,
        input_size: int,
        strides: tuple[int, ...],
        act: str,
        *,
        width: int = 192,
        depth: int = 6,
        heads: int = 3,
        channels: int = 3,
    ):
        super().__init__(name, input_size, strides, act, channels=channels)
        self.feature_dim = width
        patch = math.prod(strides)
        if input_size % patch:
            raise ConfigError(
                f"images of {input_size} pixels are not a multiple of {name}'s patches of {patch}; "
                "give another --image-size or other --strides"
            )
        self.grid = input_size // patch
        self.patches = nn.Conv2d(channels, width, patch, patch)
        self.position = nn.Parameter(nn.init.trunc_normal_(torch.empty(self.grid**2, width), std=0.02))
        ends = [math.ceil(depth * stage / _STAGES) for stage in range(_STAGES + 1)]
        self.stages = nn.ModuleList(
            nn.Sequential(*(TransformerBlock(width, heads, 4 * width, act) for _ in range(first, end)))
            for first, end in pairwise(ends)
        )
        self.norm = nn.LayerNorm(width)
        self.apply(_initialise)

    def compute_maps(self, images: torch.Tensor, corrupt: TokenCorruption | None) -> list[torch.Tensor]:
        """Return the map of each stage; see `Encoder.compute_maps`."""
        tokens = map_to_tokens(self.patches(images)) + self.position  # (B, N, D)
        t1 = self.stages[0](tokens)
        t2 = self.stages[1](t1)
        t3 = self.stages[2](t2 if corrupt is None else corrupt(t2))
        t4 = self.norm(self.stages[3](t3))
        return [tokens_to_map(stage, self.grid, self.grid) for stage in (t1, t2, t3, t4)]


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)


def vit_ti(input_size: int, strides: tuple[int, ...], act: str, hidden: tuple[int, ...] | None, channels: int) -> Vit:
    """Build ViT-Ti.

    Raises:
        ConfigError: `hidden` is given, but its blocks cannot be narrowed.
    """
    if hidden is not None:
        raise ConfigError("the blocks of vit_ti cannot be narrowed; leave out hidden")
    return Vit("vit_ti", input_size, strides, act, channels=channels)
