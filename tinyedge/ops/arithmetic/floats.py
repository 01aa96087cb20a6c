"""What several operators have in common in float, in PyTorch: the batch, padding, convolution, fused activations.

Where a tensor of the graph is (n, ...), its value for a batch of B inputs is (B * n, ...), the n of one input together.
"""

import torch
import torch.nn.functional as F

from tinyedge.errors import ModelError
from tinyedge.tflite.graph import Operator, Tensor


def activated(operator: Operator, value: torch.Tensor) -> torch.Tensor:
    """Apply the fused activation to a value that nothing else reads, which may change.

    Raises:
        ModelError: It is none of NONE, RELU, RELU6 and RELU_N1_TO_1.
    """
    activation = operator.options.get("fused_activation_function", "NONE")
    if activation == "NONE":
        return value
    if activation == "RELU":
        return F.relu_(value)
    if activation == "RELU6":
        return value.clamp(0, 6)
    if activation == "RELU_N1_TO_1":
        return value.clamp(-1, 1)
    raise ModelError(
        f"operator {operator.index} ({operator.op}) has the activation {activation}, which cannot be quantised"
    )


def samples(tensor: Tensor, value: torch.Tensor) -> torch.Tensor:
    """The value of a tensor for each input, (B, *shape)."""
    return value.reshape(-1, *tensor.shape)


def batched(operator: Operator, value: torch.Tensor) -> torch.Tensor:
    """The value of an operator's output, (B * n, ...), from any shape with the same elements in the same order."""
    return value.reshape(-1, *operator.output.shape[1:])


def aligned(operator: Operator, *values: torch.Tensor) -> list[torch.Tensor]:
    """The values of an operator's inputs, as many as there are, so that they broadcast against each other.

    Returns:
        Activations (B, 1, ..., *shape), of the output's rank and one; constants as they are.
    """
    rank = len(operator.output.shape)
    return [
        value
        if tensor is None or tensor.is_constant
        else value.reshape(-1, *[1] * (rank - len(tensor.shape)), *tensor.shape)
        for tensor, value in zip(operator.inputs, values, strict=False)
    ]


def pad_same(operator: Operator, x: torch.Tensor, kernel: tuple[int, int], value: float = 0.0) -> torch.Tensor:
    """Pad (B, C, H, W) as TFLite's `SAME` does: the odd row and column go to the bottom and to the right."""
    (top, bottom), (left, right) = _same_padding(operator, x, kernel)
    return F.pad(x, (left, right, top, bottom), value=value) if top + bottom + left + right else x


def _same_padding(operator: Operator, x: torch.Tensor, kernel: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the rows of `SAME` at the top and at the bottom of (B, C, H, W), and the columns at the left and right."""
    padding = []
    for size, taps, axis in zip(x.shape[2:], kernel, "hw", strict=True):
        stride = operator.options[f"stride_{axis}"]
        reach = (taps - 1) * operator.options.get(f"dilation_{axis}_factor", 1) + 1
        missing = (-(-size // stride) - 1) * stride + reach - size
        total = max(missing, 0) if operator.options["padding"] == "SAME" else 0
        padding.append((total // 2, total - total // 2))
    return padding


def convolution(
    operator: Operator, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, groups: int
) -> torch.Tensor:
    """Convolve (B, H, W, C) with filters (O, C / groups, kh, kw)."""
    options = operator.options
    x = x.permute(0, 3, 1, 2)
    (top, bottom), (left, right) = _same_padding(operator, x, (weight.shape[2], weight.shape[3]))
    if (top, left) != (bottom, right):
        x, top, left = F.pad(x, (left, right, top, bottom)), 0, 0
    y = F.conv2d(
        x,
        weight,
        bias,
        stride=(options["stride_h"], options["stride_w"]),
        padding=(top, left),
        dilation=(options["dilation_h_factor"], options["dilation_w_factor"]),
        groups=groups,
    )
    return activated(operator, y).permute(0, 2, 3, 1)
