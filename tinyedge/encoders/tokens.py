"""Maps of an encoder's stages as tokens and back, and what pretraining may do to tokens on their way."""

from collections.abc import Callable

import torch

TokenCorruption = Callable[[torch.Tensor], torch.Tensor]


def map_to_tokens(feature_map: torch.Tensor) -> torch.Tensor:
    """Flatten a map (B, C, H, W) to tokens (B, H*W, C), row-major; channels-last in memory on purpose.

    Channels-last tokens need no transposition in TFLite, whose maps are channels-last already.
    """
    B, C, H, W = feature_map.shape
    return feature_map.permute(0, 2, 3, 1).reshape(B, H * W, C)


def tokens_to_map(tokens: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Undo `map_to_tokens`: (B, H*W, C) to (B, C, H, W)."""
    B, _, C = tokens.shape
    return tokens.reshape(B, height, width, C).permute(0, 3, 1, 2)


def corrupt_map(feature_map: torch.Tensor, corrupt: TokenCorruption | None) -> torch.Tensor:
    """Apply a token corruption to a map (B, C, H, W), cell by cell; None returns the map itself."""
    if corrupt is None:
        return feature_map
    height, width = feature_map.shape[2:]
    return tokens_to_map(corrupt(map_to_tokens(feature_map)), height, width)
