"""What an encoder computes for one image, in multiply-accumulates (MACs): convolutions and matrix products.

Papers that gate or prune channels call these FLOPs; batch norms, activations, additions and products of elements are
left out, as theirs do.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from tinyedge.encoders.base import Encoder
from tinyedge.encoders.evaluation_mode import evaluating


def macs_by_module(encoder: Encoder) -> dict[str, int]:
    """Return the MACs of one image by the path of each module that has any, those inside of it included; "" is all."""
    counter = _MacCounter()
    image = torch.zeros(1, encoder.channels, encoder.input_size, encoder.input_size)
    device = next(encoder.parameters()).device
    with evaluating(encoder), ExitStack() as hooks, torch.no_grad(), counter:
        for path, module in encoder.named_modules():
            hooks.callback(module.register_forward_pre_hook(partial(counter.enter, path)).remove)
            hooks.callback(module.register_forward_hook(counter.leave).remove)
        encoder(image.to(device))
    return dict(counter.macs)


def count_macs(encoder: Encoder) -> int:
    """Return the MACs of one image."""
    return macs_by_module(encoder)[""]


def hidden_channel_macs(encoder: Encoder, macs: Mapping[str, int]) -> tuple[int, ...]:
    """Return the MACs that one hidden channel costs in each of `encoder.prunable_channels()`.

    They are the same for each channel of a layer, so the MACs of a narrowed encoder are linear in its widths.

    Args:
        encoder: One with hidden channels.
        macs: What `macs_by_module` says of it.
    """
    return tuple(
        sum(macs.get(path, 0) for path in (*layer.writers, layer.reader)) // layer.channels
        for layer in encoder.prunable_channels()
    )


class _MacCounter(TorchFunctionMode):
    """Adds up the MACs of the functions that modules call (torch's own counter takes seconds to load)."""

    def __init__(self) -> None:
        super().__init__()
        self.macs: Counter[str] = Counter()
        self._inside: list[str] = []

    def enter(self, path: str, *_: Any) -> None:
        self._inside.append(path)

    def leave(self, *_: Any) -> None:
        self._inside.pop()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if func in _MACS:
            macs = _MACS[func](out, *args)
            for path in self._inside:
                self.macs[path] += macs
        return out


def _conv_macs(out: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, *_: Any) -> int:
    return out.numel() * weight[0].numel()  # (C_in / groups, K, K) for each output


def _product_macs(out: torch.Tensor, x: torch.Tensor, *_: Any) -> int:
    return out.numel() * x.shape[-1]


def _attention_macs(out: torch.Tensor, query: torch.Tensor, key: torch.Tensor, *_: Any) -> int:
    return (query.numel() + out.numel()) * key.shape[-2]


_MACS: dict[Callable[..., Any], Callable[..., int]] = {
    torch.conv2d: _conv_macs,
    F.linear: _product_macs,
    torch.matmul: _product_macs,
    torch.Tensor.matmul: _product_macs,
    torch.Tensor.__matmul__: _product_macs,
    torch.bmm: _product_macs,
    F.scaled_dot_product_attention: _attention_macs,
}
