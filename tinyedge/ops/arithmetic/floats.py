"""What several operators have in common in float, in PyTorch: padding, convolution, fused activations."""

import torch
import torch.nn.functional as F

from tinyedge.errors import ModelError
from tinyedge.tflite.graph import Operator


def activated(operator: Operator, value: torch.Tensor) -> torch.Tensor:
    """Apply the fused activation.

    Raises:
        ModelError: It is none of NONE, RELU and RELU6.
    """
    activation = operator.options.get("fused_activation_function", "NONE")
    if activation == "NONE":
        return value
    if activation == "RELU":
        return F.relu(value)
    if activation == "RELU6":
        return value.clamp(0, 6)
    raise ModelError(
        f"operator {operator.index} ({operator.op}) has the activation {activation}, which cannot be quantised"
    )


def pad_same(operator: Operator, x: torch.Tensor, kernel: tuple[int, int], value: float = 0.0) -> torch.Tensor:
    """Pad (B, C, H, W) as TFLite's `SAME` does: the odd row and column go to the bottom and to the right."""
    if operator.options["padding"] == "VALID":
        return x
    padding = []
    for size, taps, axis in ((x.shape[3], kernel[1], "w"), (x.shape[2], kernel[0], "h")):
        stride = operator.options[f"stride_{axis}"]
        reach = (taps - 1) * operator.options.get(f"dilation_{axis}_factor", 1) + 1
        total = max((-(-size // stride) - 1) * stride + reach - size, 0)
        padding += [total // 2, total - total // 2]
    return F.pad(x, padding, value=value)


def convolution(
    operator: Operator, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, groups: int
) -> torch.Tensor:
    """Convolve (B, H, W, C) with filters (O, C / groups, kh, kw)."""
    options = operator.options
    y = F.conv2d(
        pad_same(operator, x.permute(0, 3, 1, 2), (weight.shape[2], weight.shape[3])),
        weight,
        bias,
        stride=(options["stride_h"], options["stride_w"]),
        dilation=(options["dilation_h_factor"], options["dilation_w_factor"]),
        groups=groups,
    )
    return activated(operator, y).permute(0, 2, 3, 1)
