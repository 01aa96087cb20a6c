"""What every encoder offers to the methods, the probe and the export."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from tinyedge.encoders.evaluation_mode import evaluating
from tinyedge.encoders.fold import FoldedEncoder, fold_batch_norms, pooled_on_the_way
from tinyedge.encoders.tokens import TokenCorruption, map_to_tokens


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

    An encoder is a subclass that makes its layers, sets `feature_dim` and computes its maps in `compute_maps`. Where
    the layers hold more to fold than a batch norm behind a convolution, it has a `fold` of its own.

    Args:
        name: Its name in the registry.
        input_size: H = W of the images it is built for, in pixels.
        strides: The strides that are adapted to the input size, first layer first.
        act: The activation of its MLPs, for encoders that have a choice.
        hidden: Hidden channels of its blocks where pruning narrowed them, first block first; None is the encoder's own.
        channels: C of the images: 3 for RGB, 1 for greyscale.

    Attributes:
        feature_dim: D, the length of the feature.
        feature_stages: The stages, ascending, whose pooled maps are put side by side as the feature; 4 is the last.
        feature_channels: What each of them gives, D together; empty where it is stage 4 alone.
    """

    feature_dim: int
    feature_stages: tuple[int, ...] = (4,)
    feature_channels: tuple[int, ...] = ()
    _compiled_maps: Callable[..., list[torch.Tensor]] | None = None

    def __init__(
        self,
        name: str,
        input_size: int,
        strides: tuple[int, ...],
        act: str = "relu",
        hidden: tuple[int, ...] | None = None,
        channels: int = 3,
    ):
        super().__init__()
        self.name = name
        self.input_size = input_size
        self.strides = strides
        self.act = act
        self.hidden = hidden
        self.channels = channels

    def initialise_from(self, images: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...], seed: int) -> None:
        """Take what the encoder starts with from images, before any training; most start with random weights alone.

        Args:
            images: (N, C, H, W) uint8, of the train split.
            mean: Per channel, for images in [0, 1].
            std: Per channel, for images in [0, 1].
            seed: Of what is drawn.
        """

    def read_feature_from(self, stages: Sequence[int]) -> None:
        """Make the feature of the pooled maps of several stages, and `feature_dim` their channels together.

        What a linear classifier reads most from lies in the last map, but not all: of the same weights, 192 channels of
        TinyNeXt-T's stage 4 probe at 61.2 % on CIFAR-10 and the 384 of stages 1 to 4 at 66.4 % (20 % of labels, 5,000
        held-out train images), for 8,160 more additions. DINOv2 is probed so (Oquab et al. 2023, section 7.1).

        Args:
            stages: Ascending, of 1 to 4; the last is 4.
        """
        channels = self.map_channels()
        self.feature_stages = tuple(stages)
        self.feature_channels = tuple(channels[stage - 1] for stage in stages)
        self.feature_dim = sum(self.feature_channels)

    @torch.no_grad()
    def map_channels(self) -> tuple[int, ...]:
        """Return C_i of each of the maps that `forward_maps` returns, the finest first."""
        size, parameter = self.input_size, next(self.parameters())
        with evaluating(self):
            maps = self.forward_maps(torch.zeros(1, self.channels, size, size, device=parameter.device))
        return tuple(feature_map.shape[1] for feature_map in maps)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the feature (B, D) of normalised images (B, C, H, W); both float32 outside autocast."""
        return self.feature(self.forward_maps(images))

    def feature(self, maps: Sequence[torch.Tensor], stages: Sequence[int] | None = None) -> torch.Tensor:
        """Return the feature (B, D) that is made of what `forward_maps` returns; `stages` asks for those of others."""
        chosen = self.feature_stages if stages is None else stages
        # Channels last, as the gradient is then, too: else residuals would add two layouts, and pass on one that every
        # kernel has to reorder.
        return torch.cat([maps[stage - 1].permute(0, 2, 3, 1).mean(dim=(1, 2)) for stage in chosen], dim=1)

    def forward_maps(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return the map of each of the four stages, (B, C_i, H_i, W_i).

        The means of those of `feature_stages` over their grids are the feature.
        """
        return self._forward_maps(images, corrupt=None)

    def forward_tokens(
        self, images: torch.Tensor, stage: int = 4, corrupt: TokenCorruption | None = None
    ) -> torch.Tensor:
        """Return the final tokens (B, N, D), row-major over the last stage's grid.

        Args:
            images: (B, C, H, W) float32, normalised.
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
        self._compiled_maps = torch.compile(type(self).compute_maps, *args, **kwargs)

    def _forward_maps(self, images: torch.Tensor, corrupt: TokenCorruption | None) -> list[torch.Tensor]:
        return (self._compiled_maps or type(self).compute_maps)(self, images, corrupt)

    def compute_maps(self, images: torch.Tensor, corrupt: TokenCorruption | None) -> list[torch.Tensor]:
        """Return the map of each of the four stages, with `corrupt` applied where stage 3 begins.

        Args:
            images: (B, C, H, W), normalised.
            corrupt: What `tinyedge.encoders.tokens.corrupt_map` applies to the map that stage 3 works on; None leaves
                it as it is.

        Returns:
            (B, C_i, H_i, W_i) each; the last one is (B, D, H_4, W_4).
        """
        raise NotImplementedError

    def means_and_last_map(self, images: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """Return what a folded encoder's body does, see `FoldedEncoder`, in the arithmetic of `compute_maps`."""
        *maps, last = self.compute_maps(images, None)
        means = [pooled_on_the_way(maps[stage - 1]) for stage in self.feature_stages[:-1]]
        return (*means, last) if means else last

    def fold(self) -> FoldedEncoder:
        """Return an equal network without batch norms, as it is deployed; the encoder is not changed.

        By default `torch.fx` traces `means_and_last_map`, and each batch norm goes into the convolution before it, or
        becomes a 1x1 depthwise convolution where there is none.

        Raises:
            ConfigError: It cannot be traced or holds a batch norm that cannot be folded: it needs a `fold` of its own.
        """
        return FoldedEncoder(fold_batch_norms(self, "means_and_last_map"))

    def prunable_channels(self) -> tuple[HiddenLayer, ...]:
        """Return the layers whose widths are `hidden`, in its order: those of all blocks that describe one."""
        described = (
            module.hidden_layer(name) for name, module in self.named_modules() if hasattr(module, "hidden_layer")
        )
        return tuple(layer for layer in described if layer is not None)
