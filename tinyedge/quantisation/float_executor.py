"""A float TFLite graph as a PyTorch network: to see every tensor of it, to disturb it, and to train it.

Calibration reads the values of all tensors, sensitivity analysis and quantisation-aware training round them, and what
is trained goes back into the graph. Values are channels-last as in TFLite, so that a tensor here and a tensor of the
file are the same numbers in the same order; only the batch is not 1.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tinyedge.errors import ModelError
from tinyedge.tflite.graph import Graph, Operator, Tensor

Hook = Callable[[Tensor, torch.Tensor], torch.Tensor]
"""Takes a tensor of the graph and its value, and returns the value to go on with."""


class FloatExecutor(nn.Module):
    """The operators of a graph with one input and one output, in order.

    Args:
        graph: Float; its first dimension is the batch. Float constants become parameters.

    Raises:
        ModelError: The graph has an operator that is unknown here, or several inputs or outputs.
    """

    def __init__(self, graph: Graph):
        super().__init__()
        if len(graph.inputs) != 1 or len(graph.outputs) != 1:
            raise ModelError(
                f"{graph.name} has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; quantisation takes "
                "one image in and one vector out"
            )
        for operator in graph.operators:
            if operator.op not in OPERATORS:
                raise ModelError(
                    f"operator {operator.index} ({operator.op}) of {graph.name} cannot be quantised; "
                    f"known are {', '.join(sorted(OPERATORS))}"
                )
        self.graph = graph
        self.weights = nn.ParameterList()
        self._weight_index: dict[Tensor, int] = {}
        for operator in graph.operators:
            for tensor in operator.inputs:
                if tensor is None or tensor.data is None or tensor.dtype != np.float32 or tensor in self._weight_index:
                    continue
                self._weight_index[tensor] = len(self.weights)
                self.weights.append(nn.Parameter(torch.from_numpy(tensor.data.copy())))

    def weight(self, tensor: Tensor) -> nn.Parameter:
        """Return the parameter of a float constant."""
        parameter: nn.Parameter = self.weights[self._weight_index[tensor]]
        return parameter

    def forward(self, images: torch.Tensor, hook: Hook | None = None) -> torch.Tensor:
        """Run the graph.

        Args:
            images: (B, H, W, 3) float32, normalised.
            hook: Sees the input, every operator's output, and every float constant where it is used.

        Returns:
            The output, (B, K) float32.
        """
        values = {self.graph.inputs[0]: images if hook is None else hook(self.graph.inputs[0], images)}
        return self.resume(values, 0, hook)

    def resume(self, values: dict[Tensor, torch.Tensor], start: int, hook: Hook | None = None) -> torch.Tensor:
        """Run the operators from a position on.

        Args:
            values: Of the activations before that; the others are added.
            start: The position of the first operator to run.
            hook: As for `forward`.

        Returns:
            The output, (B, K) float32.
        """

        def seen(tensor: Tensor, value: torch.Tensor) -> torch.Tensor:
            return value if hook is None else hook(tensor, value)

        for operator in self.graph.operators[start:]:
            inputs = [self._value(tensor, values, seen) for tensor in operator.inputs]
            values[operator.output] = seen(operator.output, OPERATORS[operator.op](operator, inputs))
        return values[self.graph.outputs[0]]

    def _value(self, tensor: Tensor | None, values: dict[Tensor, torch.Tensor], seen: Hook) -> torch.Tensor | None:
        if tensor is None:
            return None
        if tensor.data is None:
            return values[tensor]
        if tensor in self._weight_index:
            return seen(tensor, self.weight(tensor))
        return torch.from_numpy(tensor.data)


Inputs = list[torch.Tensor | None]


def _activated(operator: Operator, value: torch.Tensor) -> torch.Tensor:
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


def _convolution(operator: Operator, inputs: Inputs, weight: torch.Tensor, groups: int) -> torch.Tensor:
    options, x = operator.options, inputs[0]
    assert x is not None
    x = pad_same(operator, x.permute(0, 3, 1, 2), (weight.shape[2], weight.shape[3]))
    y = F.conv2d(
        x,
        weight,
        inputs[2] if len(inputs) > 2 else None,
        stride=(options["stride_h"], options["stride_w"]),
        dilation=(options["dilation_h_factor"], options["dilation_w_factor"]),
        groups=groups,
    )
    return _activated(operator, y).permute(0, 2, 3, 1)


def _conv_2d(operator: Operator, inputs: Inputs) -> torch.Tensor:
    weight = inputs[1]
    assert weight is not None
    return _convolution(operator, inputs, weight.permute(0, 3, 1, 2), 1)  # (O, kh, kw, I) -> (O, I, kh, kw)


def _depthwise_conv_2d(operator: Operator, inputs: Inputs) -> torch.Tensor:
    x, weight = inputs[0], inputs[1]
    assert x is not None
    assert weight is not None
    return _convolution(operator, inputs, weight.permute(3, 0, 1, 2), x.shape[3])  # (1, kh, kw, O) -> (O, 1, kh, kw)


def _fully_connected(operator: Operator, inputs: Inputs) -> torch.Tensor:
    x, weight = inputs[0], inputs[1]
    assert x is not None
    assert weight is not None
    if not operator.options["keep_num_dims"]:
        x = x.reshape(len(x), -1)
    return _activated(operator, F.linear(x, weight, inputs[2] if len(inputs) > 2 else None))


def _batch_matmul(operator: Operator, inputs: Inputs) -> torch.Tensor:
    x, y = inputs
    assert x is not None
    assert y is not None
    x = x.transpose(-1, -2) if operator.options["adj_x"] else x
    return x @ (y.transpose(-1, -2) if operator.options["adj_y"] else y)


def _elementwise(function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> "Function":
    def run(operator: Operator, inputs: Inputs) -> torch.Tensor:
        x, y = inputs
        assert x is not None
        assert y is not None
        return _activated(operator, function(x, y))

    return run


def _unary(function: Callable[[torch.Tensor], torch.Tensor]) -> "Function":
    def run(operator: Operator, inputs: Inputs) -> torch.Tensor:
        assert inputs[0] is not None
        return function(inputs[0])

    return run


def _gelu(operator: Operator, inputs: Inputs) -> torch.Tensor:
    assert inputs[0] is not None
    return F.gelu(inputs[0], approximate="tanh" if operator.options.get("approximate", False) else "none")


def _mean(operator: Operator, inputs: Inputs) -> torch.Tensor:
    x, axes = inputs
    assert x is not None
    assert axes is not None
    return x.mean(dim=[int(axis) for axis in axes.reshape(-1)], keepdim=operator.options["keep_dims"])


def _pad(operator: Operator, inputs: Inputs) -> torch.Tensor:
    x, amounts = inputs
    assert x is not None
    assert amounts is not None
    return F.pad(x, [int(amount) for pair in amounts.flip(0) for amount in pair])


def _pool(operator: Operator, inputs: Inputs) -> torch.Tensor:
    x, options = inputs[0], operator.options
    assert x is not None
    kernel = (options["filter_height"], options["filter_width"])
    stride = (options["stride_h"], options["stride_w"])
    x = x.permute(0, 3, 1, 2)
    if operator.op == "MAX_POOL_2D":
        pooled = F.max_pool2d(pad_same(operator, x, kernel, float("-inf")), kernel, stride)
    else:  # Only the cells inside the image count.
        inside = F.avg_pool2d(pad_same(operator, torch.ones_like(x), kernel), kernel, stride)
        pooled = F.avg_pool2d(pad_same(operator, x, kernel), kernel, stride) / inside
    return _activated(operator, pooled).permute(0, 2, 3, 1)


def _reshape(operator: Operator, inputs: Inputs) -> torch.Tensor:
    assert inputs[0] is not None
    return inputs[0].reshape(len(inputs[0]), *operator.output.shape[1:])


def _softmax(operator: Operator, inputs: Inputs) -> torch.Tensor:
    assert inputs[0] is not None
    logits = inputs[0] * float(operator.options["beta"])
    return logits.softmax(dim=-1)


def _transpose(operator: Operator, inputs: Inputs) -> torch.Tensor:
    x, order = inputs
    assert x is not None
    assert order is not None
    return x.permute([int(axis) for axis in order])


Function = Callable[[Operator, Inputs], torch.Tensor]
"""Takes an operator and the values of its inputs, batch first, and returns that of its output."""

OPERATORS: dict[str, Function] = {
    "ADD": _elementwise(torch.add),
    "AVERAGE_POOL_2D": _pool,
    "BATCH_MATMUL": _batch_matmul,
    "CONV_2D": _conv_2d,
    "DEPTHWISE_CONV_2D": _depthwise_conv_2d,
    "FULLY_CONNECTED": _fully_connected,
    "GELU": _gelu,
    "HARD_SWISH": _unary(F.hardswish),
    "LOGISTIC": _unary(torch.sigmoid),
    "MAX_POOL_2D": _pool,
    "MEAN": _mean,
    "MUL": _elementwise(torch.mul),
    "PAD": _pad,
    "QUANTIZE": _unary(lambda x: x),
    "RELU": _unary(F.relu),
    "RELU6": _unary(lambda x: x.clamp(0, 6)),
    "RESHAPE": _reshape,
    "SOFTMAX": _softmax,
    "SUB": _elementwise(torch.sub),
    "TANH": _unary(torch.tanh),
    "TRANSPOSE": _transpose,
}
