"""The pretext decoder: a small Transformer and its heads, all discarded after pretraining."""

import torch
import torch.nn.functional as F
from torch import nn


class PretextDecoder(nn.Module):
    """Tokens of the encoder's last stage to decoded tokens on the grid where they were corrupted.

    Args:
        in_channels: D of the encoder's tokens.
        in_grid: Tokens a side that the encoder gives.
        out_grid: Tokens a side that are decoded; each input token is repeated to the cells it covers.
        width: Width of the trunk.
        layers: Pre-norm Transformer layers.
        heads: Attention heads of a layer.
        mlp_ratio: Hidden width of the MLPs over `width`.
    """

    position: torch.Tensor

    def __init__(
        self, in_channels: int, in_grid: int, out_grid: int, *, width: int, layers: int, heads: int, mlp_ratio: int
    ):
        super().__init__()
        self.in_grid, self.out_grid = in_grid, out_grid
        self.project = nn.Linear(in_channels, width) if in_channels != width else nn.Identity()
        self.register_buffer("position", sincos_position(out_grid, width), persistent=False)
        self.trunk = nn.Sequential(
            *(
                nn.TransformerEncoderLayer(
                    width, heads, width * mlp_ratio, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
                )
                for _ in range(layers)
            ),
            nn.LayerNorm(width),
        )

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Map (B, in_grid**2, in_channels) to (B, out_grid**2, width)."""
        x = upsample_tokens(self.project(tokens), self.in_grid, self.out_grid)  # (B, N, width)
        decoded: torch.Tensor = self.trunk(x + self.position)
        return decoded


def upsample_tokens(tokens: torch.Tensor, in_grid: int, out_grid: int) -> torch.Tensor:
    """Repeat each token (B, in_grid**2, C) to the cells that it covers: (B, out_grid**2, C), row-major."""
    if in_grid == out_grid:
        return tokens
    B, _, C = tokens.shape
    grid_map = tokens.transpose(1, 2).reshape(B, C, in_grid, in_grid)
    return F.interpolate(grid_map, size=(out_grid, out_grid), mode="nearest").flatten(2).transpose(1, 2)


def sincos_position(grid: int, width: int) -> torch.Tensor:
    """Return the fixed 2-D sine-cosine embedding (grid**2, width): half the channels say the row, half the column."""
    frequencies = 10000.0 ** -(torch.arange(width // 4) / (width // 4))
    angles = torch.arange(grid).unsqueeze(1) * frequencies  # (grid, width / 4)
    axis = torch.cat([angles.sin(), angles.cos()], dim=1)  # (grid, width / 2)
    rows = axis.repeat_interleave(grid, dim=0)
    columns = axis.repeat(grid, 1)
    return torch.cat([rows, columns], dim=1)  # (N, width)


def reconstruction_head(width: int, outputs: int) -> nn.Sequential:
    """Build the head that predicts a cell's pixels or its code, (..., width) to (..., outputs)."""
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, outputs))


def rotation_head(width: int, classes: int) -> nn.Sequential:
    """Build the head that predicts how far a token was rolled, (..., width) to (..., classes) logits."""
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, classes))


def discriminator(width: int, classes: int) -> nn.Sequential:
    """Build the adversary behind the gradient reversal, (..., width) to (..., classes) logits."""
    return nn.Sequential(nn.Linear(width, width // 2), nn.ReLU(), nn.Linear(width // 2, classes))
