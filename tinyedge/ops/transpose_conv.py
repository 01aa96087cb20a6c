"""TRANSPOSE_CONV: a convolution run backwards, which makes an image larger.

Each output value is a sum over the taps that some input reaches it by: those whose number has the residue of its
position modulo the stride. So there is a convolution of stride 1 for each pair of residues, and its filters are taken
out of the weights here, turned round so that taps follow their inputs (Dumoulin and Visin, "A guide to convolution
arithmetic for deep learning", 2016, chapter 4).
"""

import dataclasses
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from tinyedge.ops.accumulators import weighted_accumulators
from tinyedge.ops.descriptor import INT8_AND_INT16, OperatorDescriptor, WeightsLayout
from tinyedge.ops.kernel_call import ConstantArray, Kernel, KernelCall
from tinyedge.ops.padding import window_fields
from tinyedge.ops.rules import constant_integers, output_like, quantised_activation, unsupported, weights_input
from tinyedge.ops.window import Window
from tinyedge.tflite.fixed_point import INT32_MAX
from tinyedge.tflite.graph import Operator

if TYPE_CHECKING:
    import torch

KERNELS = {
    "s8": Kernel("te_transpose_conv_s8", "te_conv2d_params", has_window=True),
    "s16": Kernel("te_transpose_conv_s16", "te_conv2d_s16_params", has_window=True),
}
"""By the kind of its accumulators."""


def _lower(operator: Operator) -> KernelCall:
    source, weights = quantised_activation(operator, 2), weights_input(operator)
    output = output_like(operator, source)
    if len(weights.shape) != 4 or len(source.shape) != 4 or len(output.shape) != 4:
        raise unsupported(operator, weights, f"has shape {list(weights.shape)}", "weights as (filters, h, w, channels)")
    filters, kernel_h, kernel_w, in_c = weights.shape
    if (in_c, filters, source.shape[0]) != (source.shape[3], output.shape[3], output.shape[0]):
        raise unsupported(
            operator,
            weights,
            f"has shape {list(weights.shape)} for {source.shape[3]} input and {output.shape[3]} output channels",
            "a filter for each output channel, on all input channels",
        )
    if constant_integers(operator, 0, "output shape") != list(output.shape):
        raise unsupported(operator, output, f"has shape {list(output.shape)}", "the shape that its first input says")
    vertical, horizontal = (_window(operator, axis, weights.shape[axis]) for axis in (1, 2))
    parts = [part.reshape(-1) for part in phases(weights.values, vertical.stride, horizontal.stride)]
    convolution = dataclasses.replace(operator, inputs=(source, weights, *operator.inputs[3:4]))
    accumulators = weighted_accumulators(convolution, 0, kernel_h * kernel_w * in_c, narrow_int16=False)
    return KernelCall(
        kernel=KERNELS[accumulators.kind],
        fields={
            **window_fields(source.shape, output.shape, vertical, horizontal),
            "out_c": filters,
            "group_c": in_c,
            **accumulators.fields,
            "weights": ConstantArray(np.concatenate(parts)),
        },
        inputs=(source,),
        output=output,
        op=operator.op,
        name=output.name,
    )


def _window(operator: Operator, axis: int, taps: int) -> Window:
    """The window that would make the input of the output, padded as TFLite Micro pads it."""
    source, output = operator.input(2), operator.output
    padding, stride = operator.options.get("padding", "SAME"), operator.options.get("stride_" + "hw"[axis - 1], 1)
    if padding not in ("SAME", "VALID"):
        raise unsupported(operator, output, f"has padding {padding}", "SAME and VALID padding")
    if stride < 1 or taps < 1:
        raise unsupported(operator, output, f"has stride {stride} and kernel size {taps}", "values of at least 1")
    size = output.shape[axis]
    if max(size + taps, source.shape[axis] + taps) * math.prod(output.shape[axis + 1 :]) > INT32_MAX:
        raise unsupported(operator, output, f"has size {size} along axis {axis}", "indices of 32 bits")
    windows = -(-size // stride) if padding == "SAME" else (size + stride - taps) // stride
    return Window(stride, 1, max((windows - 1) * stride + taps - size, 0) // 2, taps)


def phases(weights: np.ndarray, stride_h: int, stride_w: int) -> Iterator[np.ndarray]:
    """Yield the filters of each pair of residues, rows first: (filters, taps, taps, channels), maybe of no taps.

    Args:
        weights: (filters, h, w, channels).
        stride_h: Of the operator.
        stride_w: Of the operator.
    """
    for y in range(stride_h):
        for x in range(stride_w):
            yield np.ascontiguousarray(weights[:, y::stride_h, x::stride_w][:, ::-1, ::-1])


def _macs(operator: Operator) -> int:
    source = operator.optional_input(2)  # The output's shape, the weights, the input.
    return 0 if source is None else source.elements * math.prod(operator.input(1).shape[:3])


def _float(
    operator: Operator,
    _: "torch.Tensor | None",
    weight: "torch.Tensor",
    x: "torch.Tensor",
    bias: "torch.Tensor | None" = None,
) -> "torch.Tensor":
    """Make the output whole, then cut what the padding says off."""
    import torch.nn.functional as F

    from tinyedge.ops.arithmetic.floats import activated

    vertical, horizontal = (_window(operator, axis, weight.shape[axis]) for axis in (1, 2))
    height, width = operator.output.shape[1:3]
    whole = F.conv_transpose2d(
        x.permute(0, 3, 1, 2), weight.permute(3, 0, 1, 2), stride=(vertical.stride, horizontal.stride)
    )
    # Where the output is larger than all windows together, nothing reaches its end.
    missing = (horizontal.pad_before + width - whole.shape[3], vertical.pad_before + height - whole.shape[2])
    whole = F.pad(whole, (0, max(missing[0], 0), 0, max(missing[1], 0)))
    y = whole[:, :, vertical.pad_before :, horizontal.pad_before :][:, :, :height, :width].permute(0, 2, 3, 1)
    return activated(operator, y if bias is None else y + bias)


OPERATORS = (
    OperatorDescriptor(
        name="TRANSPOSE_CONV",
        inputs=(3, 4),
        lower=_lower,
        macs=_macs,
        versions={"int8": 3, "int16": 3},
        tflm_types=INT8_AND_INT16,
        weights=WeightsLayout(rank=4, channel_axis=0, source=2, bias=3),
        fuses_activation=True,
        float_function=_float,
    ),
)
