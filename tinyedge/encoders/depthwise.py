"""A depthwise convolution whose training does not slow down where its map is smaller than its kernel.

On a CPU, oneDNN 3.13 (PyTorch 2.15) computes the filters' gradient of a map of 2x2 or 1x1 a hundred times slower than
that of 4x4: 36 ms for 512 images of 192 channels, on one thread, where the sum of a product for each tap takes 1 ms.
Small images have such maps: half of TinyNeXt-T's stages at 16 pixels.
"""

from typing import Any

import torch
from torch import nn
from torch.nn.grad import conv2d_input


class DepthwiseConv2d(nn.Conv2d):
    """An `nn.Conv2d` of as many groups as channels, square kernel, stride and padding; it names itself so, too."""

    def _get_name(self) -> str:
        return "Conv2d"  # It is the same layer: digests of encoders are made of their layers' names.

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C, H', W')."""
        slow = max(x.shape[2:]) < self.kernel_size[0] and x.device.type == "cpu" and self.bias is None
        if slow and torch.is_grad_enabled() and not torch.is_autocast_enabled("cpu"):
            out: torch.Tensor = _TapByTap.apply(x, self.weight, self.stride[0], self.padding[0])
            return out
        return super().forward(x)


class _TapByTap(torch.autograd.Function):
    """A depthwise convolution; the gradient of its filters is a sum of products for each tap."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, stride: int, padding: int) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return torch.conv2d(x, weight, None, stride, padding, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None, None, None]:  # type: ignore[override]
        x, weight = ctx.saved_tensors
        stride, padding = ctx.stride, ctx.padding
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            of_x = conv2d_input(x.shape, weight, grad, stride, padding, groups=len(weight))
        if ctx.needs_input_grad[1]:
            of_weight = torch.zeros_like(weight)
            for row in range(weight.shape[2]):
                for column in range(weight.shape[3]):
                    tap = _covered(x.shape[2], grad.shape[2], row - padding, stride)
                    across = _covered(x.shape[3], grad.shape[3], column - padding, stride)
                    product = x[:, :, tap[0], across[0]] * grad[:, :, tap[1], across[1]]
                    of_weight[:, 0, row, column] = product.sum(dim=(0, 2, 3))
        return of_x, of_weight, None, None


def _covered(inputs: int, outputs: int, offset: int, stride: int) -> tuple[slice, slice]:
    """Return the inputs that one tap reads, and the outputs that it adds to, along one axis.

    Args:
        inputs: How many there are.
        outputs: How many there are.
        offset: Output y reads input y * stride + offset, and nothing where there is none.
        stride: At least 1.
    """
    first = max(0, -(offset // stride))
    last = min(outputs, (inputs - 1 - offset) // stride + 1)  # Behind the last one.
    if last <= first:
        return slice(0), slice(0)
    start = first * stride + offset
    return slice(start, (last - 1) * stride + offset + 1, stride), slice(first, last)
