"""Gates that choose, image by image, which hidden channels of an encoder are computed.

Krishna et al., VICReg with dense and gated networks (https://github.com/KrishnaTarun/Unification, solo/methods/ResCg):
a small network on the pooled input of each block puts out a logit per hidden channel, and a straight-through
Gumbel-sigmoid makes a mask of them (Jang et al. 2017, Maddison et al. 2017). Block outputs keep their width, so
residual streams and shortcuts are never gated.

The paper gates the BasicBlocks of a ResNet. In inverted residuals the mask comes after the depthwise convolution, its
norm and activation: a channel that was masked before them would come back as the norm's shift, and could not be removed
later. In TinyNeXt's mixer blocks the hidden channels of the MLP are gated, from the MLP's own, normed input; attention
and squeeze-and-excitation stay whole. The gates have at least 8 channels inside.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn

from tinyedge.encoders.base import Encoder, HiddenLayer
from tinyedge.encoders.tokens import TokenCorruption
from tinyedge.errors import ConfigError, TrainingError
from tinyedge.ssl.distributed import own_rows, world_size

TEMPERATURE = 2 / 3
_LEAST_REDUCED = 8
# Below this distance from 0 and 1, a uniform number's logit would not be finite.
_UNIFORM_MARGIN = 1e-6
# Norms of these parts see (nearly) the same in both networks and stay single, as the stem's and the shortcuts' do in
# the paper's code.
_SHARED_PARTS = ("stem", "embed", "shortcut")


class Gate(nn.Module):
    """Mean, reduce 1x1, batch norm, ReLU, expand 1x1: the logits of a block's hidden channels, and their mask.

    Args:
        in_channels: C_in of the block.
        channels: C, its hidden channels.
    """

    no_weight_decay = True  # As in the paper's code: towards 0 a gate decides nothing.

    def __init__(self, in_channels: int, channels: int):
        super().__init__()
        reduced = max(in_channels // 4, _LEAST_REDUCED)
        self.channels = channels
        self.reduce = nn.Conv2d(in_channels, reduced, 1, bias=False)
        self.norm = nn.BatchNorm2d(reduced)
        self.expand = nn.Conv2d(reduced, channels, 1, bias=False)
        self.noise: torch.Tensor | float | None = None
        self.mask: torch.Tensor | None = None

    def forward(self, x: torch.Tensor, noise: torch.Tensor | float | None = None) -> torch.Tensor:
        """Return the mask (B, C), float32 or more, each value 0 or 1, of a block's input (B, C_in, H, W).

        Backwards it is `sigmoid((logit + noise) / TEMPERATURE)`.

        Args:
            x: What the block computes from.
            noise: Logistic noise (B, C), or one number for all; None decides by the sign of the logit alone, and an
                infinite one without it.
        """
        pooled = x.mean(dim=(2, 3), keepdim=True)  # (B, C_in, 1, 1)
        logits = self.expand(torch.relu(self.norm(self.reduce(pooled)))).flatten(1)  # (B, C)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        if noise is not None:
            logits = logits + noise
        soft = torch.sigmoid(logits / TEMPERATURE)
        # In this order the difference is exactly 0, and the mask exactly 0 or 1.
        mask: torch.Tensor = (logits >= 0).to(soft) + (soft - soft.detach())
        return mask

    def decide(self, block: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        """Make the mask when the block is entered (a forward pre-hook)."""
        self.mask = self(inputs[0], self.noise)

    def close_channels(self, layer: nn.Module, inputs: tuple[torch.Tensor, ...], out: torch.Tensor) -> torch.Tensor:
        """Multiply the hidden channels (B, C, H, W) by the mask (a forward hook)."""
        if self.mask is None:
            raise TrainingError(
                "a gated layer ran outside of its block, which decides the mask: call the whole encoder"
            )
        return out * self.mask[:, :, None, None].to(out.dtype)


class GatedPass(NamedTuple):
    """What a gated encoder makes of a batch.

    Attributes:
        features: (B, D).
        masks: (B, C) float32 for each hidden layer, each value 0 or 1, with a gradient to the gates.
    """

    features: torch.Tensor
    masks: tuple[torch.Tensor, ...]


def gateable_layers(encoder: Encoder) -> tuple[HiddenLayer, ...]:
    """Return the encoder's hidden layers.

    Raises:
        ConfigError: It has none.
    """
    layers = encoder.prunable_channels()
    if not layers:
        raise ConfigError(
            f"{encoder.name} has no hidden channels to gate; choose --encoder tinynext_t, mobilenetv2_035 or resnet18"
        )
    return layers


class GatedEncoder(Encoder):
    """An encoder whose hidden channels are gated.

    Args:
        encoder: Its weights are used, not copied. It has the gates' hooks until `remove_gates`.

    Raises:
        ConfigError: The encoder has no hidden layers.
    """

    fixed: torch.Tensor
    is_fixed: torch.Tensor

    def __init__(self, encoder: Encoder):
        super().__init__(
            encoder.name, encoder.input_size, encoder.strides, encoder.act, encoder.hidden, encoder.channels
        )
        self.feature_dim = encoder.feature_dim
        self.feature_stages, self.feature_channels = encoder.feature_stages, encoder.feature_channels
        self.layers = gateable_layers(encoder)
        self.network = encoder
        # Which channels are open whatever the gates say, once `is_fixed`; in the state, so that a resumed run has them.
        self.register_buffer("fixed", torch.ones(sum(layer.channels for layer in self.layers), dtype=torch.bool))
        self.register_buffer("is_fixed", torch.tensor(False))
        self.gates = nn.ModuleList()
        self._hooks = []
        for layer in self.layers:
            first = encoder.get_submodule(layer.writers[0])
            assert isinstance(first, nn.Conv2d)
            gate = Gate(first.in_channels, layer.channels)
            self.gates.append(gate)
            # Methods and no closures: a deep copy's hooks then belong to the copy's gates.
            self._hooks += [
                encoder.get_submodule(layer.source).register_forward_pre_hook(gate.decide),
                encoder.get_submodule(layer.output).register_forward_hook(gate.close_channels),
            ]

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *arguments: Any) -> None:
        for name in ("fixed", "is_fixed"):  # In no checkpoint of before there was `fix`.
            state_dict.setdefault(f"{prefix}{name}", getattr(self, name))
        super()._load_from_state_dict(state_dict, prefix, *arguments)

    def fix(self, kept: Sequence[torch.Tensor]) -> None:
        """Let the same channels be open for every image from here on: the network is what is left when it is pruned.

        Args:
            kept: Indices of the open channels, for each hidden layer.
        """
        masks = []
        for layer, indices in zip(self.layers, kept, strict=True):
            mask = torch.zeros(layer.channels, dtype=torch.bool)
            mask[indices] = True
            masks.append(mask)
        self.fixed.copy_(torch.cat(masks))
        self.is_fixed.fill_(True)

    def unfix(self) -> None:
        """Let the gates decide again."""
        self.is_fixed.fill_(False)

    def sample(self, images: torch.Tensor, generator: torch.Generator) -> GatedPass:
        """Return features and masks of images (B, C, H, W), with the noise that training explores by.

        Args:
            images: Normalised, this rank's rows.
            generator: On the images' device, in the same state on every rank.
        """
        if self.is_fixed:
            return self.decide(images)
        channels = [layer.channels for layer in self.layers]
        shape = (len(images) * world_size(), sum(channels))
        uniform = own_rows(torch.rand(shape, generator=generator, device=images.device))  # (B, sum of C)
        return self._pass(images, torch.logit(uniform, _UNIFORM_MARGIN).split(channels, dim=1))

    def open(self, images: torch.Tensor) -> GatedPass:
        """Return features and masks of images (B, C, H, W) with every gate open: no gradient reaches the gates."""
        return self._pass(images, [math.inf] * len(self.layers))

    def decide(self, images: torch.Tensor) -> GatedPass:
        """Return features and masks of images (B, C, H, W); the same images give the same masks."""
        return self._pass(images, self._decisive())

    def forward_maps(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return the map of each stage, with the masks of `decide`."""
        with self._open(self._decisive()):
            return self.network.forward_maps(images)

    def forward_tokens(
        self, images: torch.Tensor, stage: int = 4, corrupt: TokenCorruption | None = None
    ) -> torch.Tensor:
        """Return the final tokens, with the masks of `decide`; see `Encoder.forward_tokens`."""
        with self._open(self._decisive()):
            return self.network.forward_tokens(images, stage, corrupt)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Refuse: hooks hand noise and masks past the graph.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError("a network with gates cannot be compiled; leave out compile")

    def remove_gates(self) -> None:
        """Leave the encoder as it came, without hooks: all channels open."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def _decisive(self) -> Sequence[torch.Tensor | None]:
        """Return the noise with which nothing is left to chance: none, or an infinite one where channels are fixed."""
        if not self.is_fixed:
            return [None] * len(self.layers)
        return torch.where(self.fixed, math.inf, -math.inf).split_with_sizes([layer.channels for layer in self.layers])

    def _pass(self, images: torch.Tensor, noises: Sequence[torch.Tensor | float | None]) -> GatedPass:
        with self._open(noises) as gates:
            features = self.network(images)
            masks = tuple(gate.mask for gate in gates if gate.mask is not None)
        return GatedPass(features, masks)

    @contextmanager
    def _open(self, noises: Sequence[torch.Tensor | float | None]) -> Iterator[list[Gate]]:
        gates = [gate for gate in self.gates if isinstance(gate, Gate)]
        for gate, noise in zip(gates, noises, strict=True):
            gate.noise = noise
        try:
            yield gates
        finally:
            for gate in gates:
                gate.noise = gate.mask = None


def switchable_copy(encoder: Encoder) -> Encoder:
    """Return a second encoder with norms of its own and all other weights of the first.

    Both have the statistics of what they see themselves: this is the paper's switchable batch norm, as two networks
    instead of a switch, so that no set of weights can meet the other set's statistics. The norms of the stem, of
    TinyNeXt's embeddings and of a ResNet's shortcuts are shared.

    Args:
        encoder: It is not changed; its convolutions and matrices belong to both afterwards.
    """
    copied = copy.deepcopy(encoder)
    for path, module in encoder.named_modules():
        is_leaf = next(module.children(), None) is None
        is_norm = isinstance(module, nn.modules.batchnorm._BatchNorm)
        own = is_norm and not any(part.startswith(_SHARED_PARTS) for part in path.split("."))
        if is_leaf and not own and module.state_dict():
            parent, _, name = path.rpartition(".")
            setattr(copied.get_submodule(parent), name, module)
    return copied
