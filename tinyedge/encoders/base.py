"""What every encoder offers to the methods, the probe and the export."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

TokenCorruption = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class HiddenLayer:
    """Channels inside a block that can be left out one by one: nothing outside the block sees how many there are.

    All but `channels` are paths of modules, as in `Encoder.get_submodule`.

    Attributes:
        name: The block.
        channels: How many there are.
        source: The module whose input they are computed from.
        output: The module that puts them out; a channel that is zero there is as good as absent.
        writers: Convolutions and batch norms whose outputs they are.
        reader: The convolution that takes them in, and nothing else.
    """

    name: str
    channels: int
    source: str
    output: str
    writers: tuple[str, ...]
    reader: str


class Encoder(nn.Module):
    """A vision encoder: images to one feature vector, with its stages open to the pretraining methods.

    Projectors, decoders, classifiers and teachers live outside, so `state_dict()` is what is deployed.

    Attributes:
        name: Its name in the registry.
        feature_dim: D, the length of the pooled feature.
        input_size: H = W of the images it was built for, in pixels.
        strides: The strides that were adapted to the input size, first layer first.
        act: The activation of its MLPs, for encoders that have a choice.
        hidden: Hidden channels of its blocks where pruning narrowed them, first block first; None is the encoder's own.
    """

    name: str
    feature_dim: int
    input_size: int
    strides: tuple[int, ...]
    act: str
    hidden: tuple[int, ...] | None = None
    _compiled_maps: Callable[..., list[torch.Tensor]] | None = None

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the pooled feature (B, D) of normalised images (B, 3, H, W); both float32 outside autocast."""
        return self.forward_maps(images)[-1].mean(dim=(2, 3))

    def forward_maps(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return the map of each of the four stages, (B, C_i, H_i, W_i); the last one is (B, D, H_4, W_4).

        The mean of the last map over its grid is the feature.
        """
        return self._forward_maps(images, corrupt=None)

    def forward_tokens(
        self, images: torch.Tensor, stage: int = 4, corrupt: TokenCorruption | None = None
    ) -> torch.Tensor:
        """Return the final tokens (B, N, D), row-major over the last stage's grid.

        Args:
            images: (B, 3, H, W) float32, normalised.
            stage: Where `corrupt` acts: 4 on the returned tokens (after the final norm), 3 on the tokens that enter
                stage 3 (at its resolution), which the rest of the encoder then has to repair.
            corrupt: Maps (B, N, C) tokens to corrupted tokens of the same shape; None leaves them as they are.

        Raises:
            ValueError: `stage` is neither 3 nor 4.
        """
        if stage not in (3, 4):
            raise ValueError(f"stage is {stage}; tokens can be corrupted at stage 3 or 4")
        tokens = map_to_tokens(self._forward_maps(images, corrupt if stage == 3 else None)[-1])
        return tokens if corrupt is None or stage == 3 else corrupt(tokens)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Let torch.compile make the kernels of every way through the stages; see `torch.compile` for the arguments."""
        # Not bound to this encoder: a copy of it computes with its own weights.
        self._compiled_maps = torch.compile(type(self)._maps, *args, **kwargs)

    def _forward_maps(self, images: torch.Tensor, corrupt: TokenCorruption | None) -> list[torch.Tensor]:
        return (self._compiled_maps or type(self)._maps)(self, images, corrupt)

    def _maps(self, images: torch.Tensor, corrupt: TokenCorruption | None) -> list[torch.Tensor]:
        """Return the map of each stage, with `corrupt` applied where stage 3 begins."""
        raise NotImplementedError

    def prunable_channels(self) -> tuple[HiddenLayer, ...]:
        """Return the layers whose widths are `hidden`, in its order: those of all blocks that describe one."""
        described = (
            module.hidden_layer(name) for name, module in self.named_modules() if hasattr(module, "hidden_layer")
        )
        return tuple(layer for layer in described if layer is not None)


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
