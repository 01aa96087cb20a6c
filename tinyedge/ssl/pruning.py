"""From gates that choose channels image by image to an encoder that never had the others.

A microcontroller's graph is static: skipping channels per image saves nothing there. Gates that training left nearly
independent of the image lose little when each channel is kept or removed for good, by how often its gate is open.
"""

import copy
import math
from collections.abc import Iterable, Sequence

import torch

from tinyedge.encoders.base import Encoder
from tinyedge.encoders.registry import create_encoder
from tinyedge.ssl.gating import GatedEncoder

# INT8 kernels of microcontrollers take channels by the eight, or waste what is missing to eight.
CHANNEL_MULTIPLE = 8


@torch.no_grad()
def activation_frequencies(gated: GatedEncoder, batches: Iterable[torch.Tensor]) -> list[torch.Tensor]:
    """Return the share of images (C,) in [0, 1] that each hidden channel is open for, layer by layer.

    Args:
        gated: It is not changed.
        batches: (B, C, H, W) normalised images, B at least 2; at least one batch.
    """
    # By the statistics of each batch: the recorded ones are of augmented images and sampled masks, and some of them of
    # both networks.
    judge = copy.deepcopy(gated).train()
    counts = [torch.zeros(layer.channels) for layer in gated.layers]
    images_seen = 0
    for images in batches:
        for count, mask in zip(counts, judge.decide(images).masks, strict=True):
            count += mask.sum(dim=0).cpu()
        images_seen += len(images)
    return [count / images_seen for count in counts]


def channels_above(frequencies: Sequence[torch.Tensor], threshold: float) -> list[torch.Tensor]:
    """Return the indices of the channels to keep, ascending: those that are open at least as often as `threshold`.

    The most frequent of the others fill each layer up to a multiple of 8, at least 8 (or all that it has).
    """
    kept = []
    for frequency in frequencies:
        wanted = max(int((frequency >= threshold).sum()), 1)
        count = min(math.ceil(wanted / CHANNEL_MULTIPLE) * CHANNEL_MULTIPLE, len(frequency))
        order = torch.argsort(frequency, descending=True, stable=True)
        kept.append(order[:count].sort().values)
    return kept


def channels_within(
    frequencies: Sequence[torch.Tensor], channel_macs: Sequence[int], most_gated_macs: float
) -> list[torch.Tensor]:
    """Return the indices of the channels to keep at the lowest threshold whose channels cost at most so much.

    Where not even the fewest channels cost so little, those are kept.

    Args:
        frequencies: (C,) in [0, 1] for each hidden layer.
        channel_macs: Multiply-accumulates that one channel of each layer costs.
        most_gated_macs: Multiply-accumulates for all hidden channels together.
    """
    # The last threshold is above all frequencies: the fewest channels.
    thresholds = [*torch.cat(list(frequencies)).unique().tolist(), math.inf]
    low, high = 0, len(thresholds) - 1
    while low < high:
        middle = (low + high) // 2
        kept = channels_above(frequencies, thresholds[middle])
        if sum(cost * len(indices) for cost, indices in zip(channel_macs, kept, strict=True)) <= most_gated_macs:
            high = middle
        else:
            low = middle + 1
    return channels_above(frequencies, thresholds[low])


def pruned_encoder(gated: GatedEncoder, kept: Sequence[torch.Tensor]) -> Encoder:
    """Return a plain encoder on the CPU with the kept channels of a gated one, its norms and their statistics.

    Args:
        gated: It is not changed.
        kept: Indices of the channels to keep, ascending, for each hidden layer.
    """
    state = {name: value.detach().cpu() for name, value in gated.network.state_dict().items()}
    for layer, indices in zip(gated.layers, kept, strict=True):
        for name, value in state.items():
            if name.startswith(tuple(f"{writer}." for writer in layer.writers)) and value.ndim > 0:
                state[name] = value[indices]
        reader = f"{layer.reader}.weight"  # (C_out, C, K, K)
        state[reader] = state[reader][:, indices]
    with torch.random.fork_rng(devices=[]):  # its fresh weights are not used
        encoder = create_encoder(
            gated.name,
            input_size=gated.input_size,
            strides=gated.strides,
            act=gated.act,
            hidden=tuple(len(indices) for indices in kept),
            channels=gated.channels,
            feature_stages=gated.feature_stages,
            enforce_budget=False,
        )
    encoder.load_state_dict(state)
    return encoder.eval()


@torch.no_grad()
def silence_channels(gated: GatedEncoder, kept: Sequence[torch.Tensor]) -> None:
    """Let nothing read the channels that are not kept: the encoder computes what the pruned one does, at full width.

    Args:
        gated: Its encoder is changed in place.
        kept: Indices of the channels to keep for each hidden layer.
    """
    for layer, indices in zip(gated.layers, kept, strict=True):
        weight = gated.network.get_parameter(f"{layer.reader}.weight")  # (C_out, C, K, K)
        keep = torch.zeros(layer.channels, dtype=torch.bool)
        keep[indices] = True
        weight[:, ~keep.to(weight.device)] = 0
