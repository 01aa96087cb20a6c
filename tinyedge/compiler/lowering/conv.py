"""CONV_2D and DEPTHWISE_CONV_2D."""

from tinyedge.compiler.graph import Operator, Tensor
from tinyedge.compiler.kernel_call import ConstantArray, KernelCall
from tinyedge.compiler.lowering.registry import lowers
from tinyedge.compiler.lowering.rules import (
    MAX_DEPTH,
    activation_range,
    bias_array,
    channel_scales,
    factor_arrays,
    int8_activation,
    int8_output,
    scale,
    unsupported,
    weights_input,
    zero_point,
)
from tinyedge.compiler.lowering.window import windows


def _channel_factors(operator: Operator, source: Tensor, weights: Tensor, axis: int) -> list[float]:
    """What one unit of each channel's accumulator is worth in the output, in double precision."""
    output_scale = scale(operator.output)
    return [scale(source) * weight_scale / output_scale for weight_scale in channel_scales(operator, weights, axis)]


@lowers("CONV_2D")
def lower_conv2d(operator: Operator) -> KernelCall:
    """Lower CONV_2D, in groups where a filter sees a divisor of the input's channels."""
    source, weights, output = int8_activation(operator), weights_input(operator), int8_output(operator)
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
    if kernel_h * kernel_w * group_c > MAX_DEPTH:
        raise unsupported(
            operator, weights, f"has shape {list(weights.shape)}", f"filters of at most {MAX_DEPTH} weights"
        )
    multipliers, shifts = factor_arrays(operator, _channel_factors(operator, source, weights, 0))
    output_min, output_max = activation_range(operator)
    assert weights.data is not None
    return KernelCall(
        function="te_conv2d_s8",
        struct="te_conv2d_params",
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
            "input_zero_point": zero_point(source),
            "output_zero_point": zero_point(output),
            "output_min": output_min,
            "output_max": output_max,
            "weights": ConstantArray(weights.data),
            "bias": bias_array(operator, 2, filters),
            "multipliers": multipliers,
            "shifts": shifts,
        },
        inputs=(source,),
        output=output,
        op=operator.op,
        name=output.name,
        macs=output.elements * kernel_h * kernel_w * group_c,
    )


@lowers("DEPTHWISE_CONV_2D")
def lower_depthwise_conv2d(operator: Operator) -> KernelCall:
    """Lower DEPTHWISE_CONV_2D with any channel multiplier."""
    source, weights, output = int8_activation(operator), weights_input(operator), int8_output(operator)
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
    if kernel_h * kernel_w > MAX_DEPTH:
        raise unsupported(
            operator, weights, f"has shape {list(weights.shape)}", f"filters of at most {MAX_DEPTH} weights"
        )
    multipliers, shifts = factor_arrays(operator, _channel_factors(operator, source, weights, 3))
    output_min, output_max = activation_range(operator)
    assert weights.data is not None
    return KernelCall(
        function="te_depthwise_conv2d_s8",
        struct="te_depthwise_conv2d_params",
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
            "input_zero_point": zero_point(source),
            "output_zero_point": zero_point(output),
            "output_min": output_min,
            "output_max": output_max,
            "weights": ConstantArray(weights.data),
            "bias": bias_array(operator, 2, out_c),
            "multipliers": multipliers,
            "shifts": shifts,
        },
        inputs=(source,),
        output=output,
        op=operator.op,
        name=output.name,
        macs=output.elements * kernel_h * kernel_w,
    )
