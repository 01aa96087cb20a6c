"""AVERAGE_POOL_2D and MAX_POOL_2D."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from tinyedge.ops.descriptor import INT8_AND_INT16, FloatFunction, IntegerLayer, OperatorDescriptor
from tinyedge.ops.kernel_call import Kernel, KernelCall
from tinyedge.ops.overlap import row_lag
from tinyedge.ops.padding import windows
from tinyedge.ops.rules import (
    clamp_range,
    element,
    output_like,
    quantised_activation,
    scale,
    unsupported,
    zero_point,
)
from tinyedge.ops.stripes import windowed
from tinyedge.tflite.fixed_point import clamp
from tinyedge.tflite.graph import Operator

if TYPE_CHECKING:
    import torch

# A sum of as many values fits 32 bits with room to round.
_MAX_WINDOWS = {np.dtype(np.int8): 2**23, np.dtype(np.int16): 2**16 - 2}

KERNELS = {
    name: {element: Kernel(f"te_{stem}_{element}", "te_pool_params", stripes=windowed) for element in ("s8", "s16")}
    for name, stem in (("AVERAGE_POOL_2D", "average_pool"), ("MAX_POOL_2D", "max_pool"))
}
"""By operator and the type of the activations."""


def _lower(operator: Operator, kernels: Mapping[str, Kernel]) -> KernelCall:
    """Lower a pooling operator, whose output has its input's quantisation."""
    source = quantised_activation(operator)
    output = output_like(operator, source)
    max_window = _MAX_WINDOWS[source.dtype]
    window = (operator.options.get("filter_height", 1), operator.options.get("filter_width", 1))
    vertical, horizontal = windows(operator, source, window)
    # The reference interpreter's own tolerance.
    if abs(np.float32(scale(source)) - np.float32(scale(output))) > 1e-6 or zero_point(source) != zero_point(output):
        raise unsupported(operator, output, "is rescaled by pooling", "pooling without a change of scale or zero point")
    if output.shape[3] != source.shape[3] or window[0] * window[1] > max_window:
        raise unsupported(
            operator,
            output,
            f"has {output.shape[3]} channels from {source.shape[3]} in windows of {window[0]}x{window[1]}",
            f"as many channels as the input, windows of at most {max_window}",
        )
    output_min, output_max = clamp_range(operator)
    return KernelCall(
        kernel=kernels[element(source)],
        fields={
            "batches": source.shape[0],
            "in_h": source.shape[1],
            "in_w": source.shape[2],
            "channels": source.shape[3],
            "out_h": output.shape[1],
            "out_w": output.shape[2],
            "kernel_h": window[0],
            "kernel_w": window[1],
            "stride_h": vertical.stride,
            "stride_w": horizontal.stride,
            "pad_top": vertical.pad_before,
            "pad_left": horizontal.pad_before,
            "output_min": output_min,
            "output_max": output_max,
        },
        inputs=(source,),
        output=output,
        op=operator.op,
        name=output.name,
        overlaps=row_lag(source, output, vertical),
    )


def _constant_channel(operator: Operator, value: int) -> int:
    return clamp(value, *clamp_range(operator))


def _shape(operator: Operator) -> tuple[tuple[int, int], tuple[int, int]]:
    """(height, width) of the window, then of its steps."""
    options = operator.options
    return (options["filter_height"], options["filter_width"]), (options["stride_h"], options["stride_w"])


def _float_average(operator: Operator, x: "torch.Tensor") -> "torch.Tensor":
    import torch
    import torch.nn.functional as F

    from tinyedge.ops.arithmetic.floats import activated, pad_same

    window, stride = _shape(operator)
    x = x.permute(0, 3, 1, 2)
    inside = F.avg_pool2d(pad_same(operator, torch.ones_like(x), window), window, stride)
    pooled = F.avg_pool2d(pad_same(operator, x, window), window, stride) / inside  # Only the cells inside count.
    return activated(operator, pooled).permute(0, 2, 3, 1)


def _float_max(operator: Operator, x: "torch.Tensor") -> "torch.Tensor":
    import torch.nn.functional as F

    from tinyedge.ops.arithmetic.floats import activated, pad_same

    window, stride = _shape(operator)
    pooled = F.max_pool2d(pad_same(operator, x.permute(0, 3, 1, 2), window, float("-inf")), window, stride)
    return activated(operator, pooled).permute(0, 2, 3, 1)


def _integer_average(operator: Operator) -> IntegerLayer:
    import torch
    import torch.nn.functional as F

    from tinyedge.ops.arithmetic.floats import pad_same
    from tinyedge.ops.arithmetic.integers import straight_through

    window, stride = _shape(operator)
    low, high = clamp_range(operator)

    def sums(x: torch.Tensor) -> torch.Tensor:
        x = pad_same(operator, x.permute(0, 3, 1, 2), window)
        return F.avg_pool2d(x, window, stride, divisor_override=1).permute(0, 2, 3, 1)

    def run(inputs: list[torch.Tensor]) -> torch.Tensor:
        total, count = sums(inputs[0]), sums(torch.ones_like(inputs[0]))  # Only the cells inside the image count.
        exact, cells = total.detach().long(), count.long()
        exact = torch.div(exact + torch.where(exact > 0, cells // 2, -(cells // 2)), cells, rounding_mode="trunc")
        return straight_through(exact, total / count, low, high)

    return run


def _integer_max(operator: Operator) -> IntegerLayer:
    from tinyedge.ops.arithmetic.integers import without_activation

    plain, (low, high) = without_activation(operator), clamp_range(operator)
    return lambda inputs: _float_max(plain, inputs[0]).clamp(low, high)


def _describe(
    name: str, function: FloatFunction, integer_layer: Callable[[Operator], IntegerLayer]
) -> OperatorDescriptor:
    return OperatorDescriptor(
        name=name,
        lower=partial(_lower, kernels=KERNELS[name]),
        versions={"int8": 2, "int16": 3},
        tflm_types=INT8_AND_INT16,
        keeps_quantisation=True,
        constant_channel=_constant_channel,
        float_function=function,
        integer_layer=integer_layer,
    )


OPERATORS = (
    _describe("AVERAGE_POOL_2D", _float_average, _integer_average),
    _describe("MAX_POOL_2D", _float_max, _integer_max),
)
