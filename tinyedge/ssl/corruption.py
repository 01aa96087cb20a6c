"""Joint token corruption: masking and rolling on disjoint tokens of one sample."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class CorruptionPlan:
    """Which tokens of each sample are masked, rolled, or left clean. The three sets partition the tokens.

    Attributes:
        masked: (B, N) bool.
        rotated: (B, N) bool.
        clean_sample: (B, N) bool, as many clean tokens as there are rotated ones (fewer if there are not as many).
        shifts: (B, N) int64 in {1, 2, 3}: how often a rotated token is rolled by the unit.
    """

    masked: torch.Tensor
    rotated: torch.Tensor
    clean_sample: torch.Tensor
    shifts: torch.Tensor


def draw_corruption(
    batch: int,
    grid: int,
    masked_count: torch.Tensor,
    rotated_count: torch.Tensor,
    *,
    block: int,
    shift_per_token: bool,
    generator: torch.Generator,
) -> CorruptionPlan:
    """Draw a corruption for each sample independently.

    Args:
        batch: B.
        grid: Tokens a side; N = grid * grid.
        masked_count: Scalar int64, tokens to mask in each sample.
        rotated_count: Scalar int64, tokens to roll among the others.
        block: Masked tokens come in blocks of this side (the last block of a sample may be cut short).
        shift_per_token: Whether each token has its own shift, or all tokens of a sample share one.
        generator: Source of randomness, on the device to draw on.
    """
    device = generator.device
    tokens = grid * grid
    cells = torch.arange(tokens, device=device)
    blocks_a_side = -(-grid // block)
    block_of_cell = (cells // grid) // block * blocks_a_side + (cells % grid) // block  # (N,)
    block_rank = _ranks(torch.rand(batch, blocks_a_side**2, device=device, generator=generator))  # (B, blocks)
    within = torch.rand(batch, tokens, device=device, generator=generator)
    masked = _ranks(block_rank[:, block_of_cell] + within) < masked_count  # (B, N)
    # Masked tokens sort last, so the first places go to a random choice of the others.
    order = _ranks(torch.rand(batch, tokens, device=device, generator=generator) + masked)
    rotated = order < rotated_count
    clean_sample = (order >= rotated_count) & (order < 2 * rotated_count) & ~masked
    shape = (batch, tokens) if shift_per_token else (batch, 1)
    shifts = torch.randint(1, 4, shape, device=device, generator=generator).expand(batch, tokens)
    return CorruptionPlan(masked, rotated, clean_sample, shifts)


def roll_tokens(tokens: torch.Tensor, shifts: torch.Tensor) -> torch.Tensor:
    """Roll each token's feature vector: out[..., c] = tokens[..., (c - shift) mod C].

    Args:
        tokens: (B, N, C).
        shifts: (B, N) int64.
    """
    channels = tokens.shape[-1]
    source = (torch.arange(channels, device=tokens.device) - shifts.unsqueeze(-1)) % channels  # (B, N, C)
    return tokens.gather(-1, source)


def corrupt_tokens(
    tokens: torch.Tensor, plan: CorruptionPlan, mask_token: torch.Tensor, roll_unit: int
) -> torch.Tensor:
    """Replace masked tokens (B, N, C) by `mask_token` (C,) and roll rotated ones by `shift * roll_unit` channels."""
    rolled = roll_tokens(tokens, plan.shifts * plan.rotated * roll_unit)
    return torch.where(plan.masked.unsqueeze(-1), mask_token.to(tokens.dtype), rolled)


def blank_cells(images: torch.Tensor, masked: torch.Tensor, grid: int) -> torch.Tensor:
    """Set the pixels of masked cells to zero (the mean colour of normalised images).

    Args:
        images: (B, C, H, W) float32, H = W a multiple of `grid`.
        masked: (B, N) bool over the grid, row-major.
        grid: Cells a side.
    """
    cell = images.shape[-1] // grid
    kept = (~masked).to(images.dtype).reshape(-1, 1, grid, grid)
    kept = kept.repeat_interleave(cell, dim=2).repeat_interleave(cell, dim=3)  # (B, 1, H, W)
    return images * kept


def cell_targets(images: torch.Tensor, grid: int) -> torch.Tensor:
    """Return each cell's pixels with mean 0 and variance 1, (B, N, P), P = C * cell * cell (as in MAE).

    Args:
        images: (B, C, H, W) float32, H = W a multiple of `grid`.
        grid: Cells a side; N = grid * grid, row-major.
    """
    B, C, H, _ = images.shape
    cell = H // grid
    cells = images.reshape(B, C, grid, cell, grid, cell).permute(0, 2, 4, 3, 5, 1)  # (B, gy, gx, y, x, C)
    cells = cells.reshape(B, grid * grid, cell * cell * C)  # (B, N, P)
    variance, mean = torch.var_mean(cells, dim=-1, keepdim=True)
    return (cells - mean) / (variance + 1e-6).sqrt()


def _ranks(keys: torch.Tensor) -> torch.Tensor:
    return keys.argsort(dim=1).argsort(dim=1)
