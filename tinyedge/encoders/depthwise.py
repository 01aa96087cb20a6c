"""A depthwise convolution that trains at speed where the library of kernels does not.

On a CPU, oneDNN 3.13 (PyTorch 2.15) computes two gradients with loops that nobody wrote for speed. On one thread, with
512 images:

* of the filters, where the map is smaller than the kernel, or its size and the stride 2: 29 ms for 192 channels of 1x1,
  where a sum of products for each tap takes 0.3. Small images have such maps: half of TinyNeXt-T's stages at 16 pixels.
* of the input, where the stride is 2 and the type bfloat16: 335 ms for 64 channels of 16x16, where a convolution of the
  gradient, spread over the input's grid, takes 6.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn


class DepthwiseConv2d(nn.Conv2d):
    """An `nn.Conv2d` of as many groups as channels, square kernel, stride and padding; it names itself so, too."""

    def _get_name(self) -> str:
        return "Conv2d"  # It is the same layer: digests of encoders are made of their layers' names.

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C, H', W')."""
        if x.device.type != "cpu" or self.bias is not None or not torch.is_grad_enabled():
            return super().forward(x)
        mixed = torch.is_autocast_enabled("cpu")
        dtype = torch.get_autocast_dtype("cpu") if mixed else x.dtype
        weight, stride = self.weight, self.stride[0]
        if not (_has_small_map(x.shape, weight.shape, stride) or (stride > 1 and dtype == torch.bfloat16)):
            return super().forward(x)
        if mixed:
            x, weight = x.to(dtype), weight.to(dtype)
        out: torch.Tensor = _OwnGradients.apply(x, weight, stride, self.padding[0])
        return out


class _OwnGradients(torch.autograd.Function):
    """A depthwise convolution whose slow gradients are computed here."""

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
            of_x = _input_gradient(grad, weight, x.shape, stride, padding)
        if ctx.needs_input_grad[1] and _has_small_map(x.shape, weight.shape, stride):
            of_weight = _filter_gradient_by_taps(grad, x, weight, stride, padding)
        elif ctx.needs_input_grad[1]:
            sides = [stride, stride], [padding, padding], [1, 1], False, [0, 0]
            asked = [False, True, False]
            of_weight = torch.ops.aten.convolution_backward(grad, x, weight, None, *sides, len(weight), asked)[1]
        return of_x, of_weight, None, None


def _has_small_map(x: Sequence[int], weight: Sequence[int], stride: int) -> bool:
    """Return whether a map (B, C, H, W) is so small for a kernel (C, 1, K, K) that the native gradient is slow."""
    return max(x[2:]) < weight[2] + (stride > 1)


def _input_gradient(
    grad: torch.Tensor, weight: torch.Tensor, shape: torch.Size, stride: int, padding: int
) -> torch.Tensor:
    """Return the gradient (B, C, H, W) of the input of a convolution of which `grad` (B, C, H', W') is the output's."""
    kernel = weight.shape[2]
    if stride > 1:  # Spread over the grid of outputs that stride 1 would have.
        height, width = (side + 2 * padding - kernel + 1 for side in shape[2:])
        spread = grad.new_zeros(*grad.shape[:2], height, width).contiguous(memory_format=torch.channels_last)
        spread[:, :, ::stride, ::stride] = grad
        grad = spread
    return torch.conv2d(grad, weight.flip(2, 3), None, 1, kernel - 1 - padding, groups=len(weight))


def _filter_gradient_by_taps(
    grad: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, stride: int, padding: int
) -> torch.Tensor:
    """Return the gradient (C, 1, K, K) of the filters as a sum of products for each tap."""
    of_weight = torch.zeros_like(weight)
    for row in range(weight.shape[2]):
        for column in range(weight.shape[3]):
            tap = _covered(x.shape[2], grad.shape[2], row - padding, stride)
            across = _covered(x.shape[3], grad.shape[3], column - padding, stride)
            product = x[:, :, tap[0], across[0]] * grad[:, :, tap[1], across[1]]
            of_weight[:, 0, row, column] = product.sum(dim=(0, 2, 3))
    return of_weight


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
