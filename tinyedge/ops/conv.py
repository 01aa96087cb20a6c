"""CONV_2D and DEPTHWISE_CONV_2D."""

import numpy as np

from tinyedge.ops.kernel_call import KernelCall
from tinyedge.ops.overlap import pixel_lag, row_lag
from tinyedge.ops.registry import lowers
from tinyedge.ops.rules import (
    channel_scales,
    output_like,
    quantised_activation,
    scale,
    unsupported,
    weights_input,
)
from tinyedge.ops.sums import weighted_sums
from tinyedge.ops.window import PIXEL, windows
from tinyedge.tflite.graph import Operator, Tensor

# Products of int16 and int8 values whose sum fits 32 bits.
_MAX_INT16_ROW = 511


def _channel_factors(operator: Operator, source: Tensor, weights: Tensor, axis: int) -> list[float]:
    """What one unit of each channel's accumulator is worth in the output, in double precision."""
    output_scale = scale(operator.output)
    return [scale(source) * weight_scale / output_scale for weight_scale in channel_scales(operator, weights, axis)]


@lowers("CONV_2D")
def lower_conv2d(operator: Operator) -> KernelCall:
    """Lower CONV_2D, in groups where a filter sees a divisor of the input's channels."""
    source, weights = quantised_activation(operator), weights_input(operator)
    output = output_like(operator, source)
    if len(weights.shape) != 4:
        raise unsupported(operator, weights, f"has shape {list(weights.shape)}", "weights as (filters, h, w, channels)")
    filters, kernel_h, kernel_w, group_c = weights.shape
    vertical, horizontal = windows(operator, source, (kernel_h, kernel_w))
    batches, in_h, in_w, in_c = source.shape
    if in_c % group_c or filters % (in_c // group_c) or output.shape[3] != filters:
        raise unsupported(
            operator,
            weights,
            f"has shape {list(weights.shape)} for {in_c} input and {output.shape[3]} output channels",
            "as many filters as output channels, on all or equal groups of the input channels",
        )
    depth = kernel_h * kernel_w * group_c
    of_pixels = vertical == horizontal == PIXEL and source.shape[:3] == output.shape[:3]
    sums = weighted_sums(operator, source, weights, _channel_factors(operator, source, weights, 0), depth)
    return KernelCall(
        function=f"te_conv2d_{sums.kernel}",
        struct=f"te_conv2d{sums.params}_params",
        fields={
            "batches": batches,
            "in_h": in_h,
            "in_w": in_w,
            "in_c": in_c,
            "out_h": output.shape[1],
            "out_w": output.shape[2],
            "out_c": filters,
            "kernel_h": kernel_h,
            "kernel_w": kernel_w,
            "stride_h": vertical.stride,
            "stride_w": horizontal.stride,
            "dilation_h": vertical.dilation,
            "dilation_w": horizontal.dilation,
            "pad_top": vertical.pad_before,
            "pad_left": horizontal.pad_before,
            "group_c": group_c,
            **sums.fields,
        },
        inputs=(source,),
        output=output,
        op=operator.op,
        name=output.name,
        macs=output.elements * depth,
        overlaps=pixel_lag(source, output, batches * in_h * in_w) if of_pixels else row_lag(source, output, vertical),
    )


@lowers("DEPTHWISE_CONV_2D")
def lower_depthwise_conv2d(operator: Operator) -> KernelCall:
    """Lower DEPTHWISE_CONV_2D with any channel multiplier."""
    source, weights = quantised_activation(operator), weights_input(operator)
    output = output_like(operator, source)
    if len(weights.shape) != 4 or weights.shape[0] != 1:
        raise unsupported(operator, weights, f"has shape {list(weights.shape)}", "weights as (1, h, w, channels)")
    _, kernel_h, kernel_w, out_c = weights.shape
    vertical, horizontal = windows(operator, source, (kernel_h, kernel_w))
    batches, in_h, in_w, in_c = source.shape
    if out_c % in_c or output.shape[3] != out_c:
        raise unsupported(
            operator,
            weights,
            f"has {out_c} channels for {in_c} input and {output.shape[3]} output channels",
            "a whole number of filters for each input channel",
        )
    if source.dtype == np.int16 and kernel_w > _MAX_INT16_ROW:
        raise unsupported(
            operator, weights, f"has shape {list(weights.shape)}", f"int16 windows at most {_MAX_INT16_ROW} wide"
        )
    depth = kernel_h * kernel_w
    sums = weighted_sums(operator, source, weights, _channel_factors(operator, source, weights, 3), depth)
    return KernelCall(
        function=f"te_depthwise_conv2d_{sums.kernel}",
        struct=f"te_depthwise_conv2d{sums.params}_params",
        fields={
            "batches": batches,
            "in_h": in_h,
            "in_w": in_w,
            "in_c": in_c,
            "out_h": output.shape[1],
            "out_w": output.shape[2],
            "multiplier_c": out_c // in_c,
            "kernel_h": kernel_h,
            "kernel_w": kernel_w,
            "stride_h": vertical.stride,
            "stride_w": horizontal.stride,
            "dilation_h": vertical.dilation,
            "dilation_w": horizontal.dilation,
            "pad_top": vertical.pad_before,
            "pad_left": horizontal.pad_before,
            **sums.fields,
        },
        inputs=(source,),
        output=output,
        op=operator.op,
        name=output.name,
        macs=output.elements * depth,
        overlaps=row_lag(source, output, vertical),
    )
