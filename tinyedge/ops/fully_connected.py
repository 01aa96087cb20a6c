"""FULLY_CONNECTED."""

import numpy as np

from tinyedge.ops.kernel_call import ConstantArray, KernelCall
from tinyedge.ops.overlap import pixel_lag
from tinyedge.ops.registry import lowers
from tinyedge.ops.rules import (
    MAX_DEPTH,
    MAX_DEPTH_TWO_OFFSETS,
    activation_range,
    bias_array,
    channel_scales,
    factor_arrays,
    output_like,
    quantised_activation,
    scale,
    unsupported,
    weights_input,
    zero_point,
)
from tinyedge.ops.sums import weighted_sums
from tinyedge.tflite.graph import Operator, Tensor


@lowers("FULLY_CONNECTED")
def lower_fully_connected(operator: Operator) -> KernelCall:
    """Lower FULLY_CONNECTED with constant weights, over all rows of its input."""
    source, weights = quantised_activation(operator), weights_input(operator)
    output = output_like(operator, source)
    weights_format = operator.options.get("weights_format", "DEFAULT")
    if len(weights.shape) != 2 or weights_format != "DEFAULT":
        raise unsupported(
            operator,
            weights,
            f"has shape {list(weights.shape)} in the format {weights_format}",
            "weights as (outputs, inputs) in the DEFAULT format",
        )
    out_c, in_c = weights.shape
    if source.elements % in_c or output.shape[-1:] != (out_c,) or output.elements // out_c != source.elements // in_c:
        raise unsupported(
            operator,
            weights,
            f"has shape {list(weights.shape)} for the input {list(source.shape)} and the output {list(output.shape)}",
            "weights that match both",
        )
    if source.dtype == np.int16:
        return _convolution_of_rows(operator, source, weights)
    quantisation = weights.quantisation
    assert quantisation is not None
    assert weights.data is not None
    weights_zero_point = 0
    if quantisation.scales.size == 1:
        weight_scales = [quantisation.scale] * out_c
        weights_zero_point = quantisation.zero_point
    else:
        weight_scales = channel_scales(operator, weights, 0)
    factors = [scale(source) * weight_scale / scale(output) for weight_scale in weight_scales]
    limit = MAX_DEPTH if weights_zero_point == 0 else MAX_DEPTH_TWO_OFFSETS
    if in_c > limit:
        raise unsupported(operator, weights, f"has {in_c} inputs", f"at most {limit} inputs with these zero points")
    multipliers, shifts = factor_arrays(operator, factors)
    output_min, output_max = activation_range(operator)
    return KernelCall(
        function="te_fully_connected_s8",
        struct="te_fully_connected_params",
        fields={
            "batches": source.elements // in_c,
            "in_c": in_c,
            "out_c": out_c,
            "input_zero_point": zero_point(source),
            "weights_zero_point": weights_zero_point,
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
        macs=output.elements * in_c,
        overlaps=pixel_lag(source, output, source.elements // in_c),
    )


def _convolution_of_rows(operator: Operator, source: Tensor, weights: Tensor) -> KernelCall:
    """The same sums as a convolution of 1x1 filters over an image of one row."""
    output = operator.output
    out_c, in_c = weights.shape
    rows = source.elements // in_c
    factors = [scale(source) * value / scale(output) for value in channel_scales(operator, weights, 0)]
    sums = weighted_sums(operator, source, weights, factors, in_c)
    return KernelCall(
        function=f"te_conv2d_{sums.kernel}",
        struct=f"te_conv2d{sums.params}_params",
        fields={
            "batches": 1,
            "in_h": 1,
            "in_w": rows,
            "in_c": in_c,
            "out_h": 1,
            "out_w": rows,
            "out_c": out_c,
            "kernel_h": 1,
            "kernel_w": 1,
            "stride_h": 1,
            "stride_w": 1,
            "dilation_h": 1,
            "dilation_w": 1,
            "pad_top": 0,
            "pad_left": 0,
            "group_c": in_c,
            **sums.fields,
        },
        inputs=(source,),
        output=output,
        op=operator.op,
        name=output.name,
        macs=output.elements * in_c,
        overlaps=pixel_lag(source, output, source.elements // in_c),
    )
