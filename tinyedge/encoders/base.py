"""What every encoder offers to the methods, the probe and the export."""

from collections.abc import Callable

import torch
from torch import nn

TokenCorruption = Callable[[torch.Tensor], torch.Tensor]


class Encoder(nn.Module):
    """A vision encoder: images to one feature vector, with its stages open to the pretraining methods.

    Projectors, decoders, classifiers and teachers live outside, so `state_dict()` is what is deployed.

    Attributes:
        feature_dim: D, the length of the pooled feature.
        input_size: H = W of the images it was built for, in pixels.
    """

    feature_dim: int
    input_size: int

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the pooled feature (B, D) float32 of normalised images (B, 3, H, W) float32."""
        raise NotImplementedError

    def forward_maps(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return the map of each of the four stages, (B, C_i, H_i, W_i)."""
        raise NotImplementedError

    def forward_tokens(
        self, images: torch.Tensor, stage: int = 4, corrupt: TokenCorruption | None = None
    ) -> torch.Tensor:
        """Return the final tokens (B, N, D), row-major over the last stage's grid.

        Args:
            images: (B, 3, H, W) float32, normalised.
            stage: Where `corrupt` acts: 4 on the returned tokens (after the final norm), 3 on the tokens that enter
                stage 3, which the rest of the encoder then has to repair.
            corrupt: Maps (B, N, C) tokens to corrupted tokens of the same shape; None leaves them as they are.
        """
        raise NotImplementedError
