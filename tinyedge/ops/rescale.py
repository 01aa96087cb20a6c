"""QUANTIZE, RELU and RELU6: the same values in another quantisation, within limits."""

import numpy as np

from tinyedge.ops.kernel_call import KernelCall
from tinyedge.ops.overlap import in_place
from tinyedge.ops.registry import lowers
from tinyedge.ops.rules import (
    element,
    factor,
    limits,
    output_like,
    quantise,
    quantised_activation,
    quantised_output,
    scale,
    unsupported,
    zero_point,
)
from tinyedge.ops.table import table_call
from tinyedge.tflite.fixed_point import clamp, requantise
from tinyedge.tflite.graph import Operator


@lowers("QUANTIZE")
def lower_quantize(operator: Operator) -> KernelCall:
    """Lower QUANTIZE between int8 and int16, either way or within one of them."""
    source, output = quantised_activation(operator), quantised_output(operator)
    return _rescale(operator, scale(source) / scale(output), *limits(output))


@lowers("RELU")
def lower_relu(operator: Operator) -> KernelCall:
    """Lower a RELU that stands alone."""
    source = quantised_activation(operator)
    output = output_like(operator, source)
    return _rescale(operator, scale(source) / scale(output), zero_point(output), limits(output)[1])


@lowers("RELU6")
def lower_relu6(operator: Operator) -> KernelCall:
    """Lower a RELU6 that stands alone: a clamp in the input's quantisation, whatever the output's is."""
    source = quantised_activation(operator)
    output_like(operator, source)
    six = clamp(quantise(operator, source, 6.0), *limits(source))
    if source.dtype == np.int16:
        return _rescale(operator, 1.0, 0, six)
    zero = zero_point(source)
    return table_call(operator, lambda value: six if value > six else max(value, zero))


def _rescale(operator: Operator, real_factor: float, low: int, high: int) -> KernelCall:
    """Multiply by a factor and keep within limits, from int8 to int8 by a table."""
    source, output = quantised_activation(operator), quantised_output(operator)
    if source.elements != output.elements:
        raise unsupported(operator, output, f"has shape {list(output.shape)}", f"shape {list(source.shape)}")
    multiplier, shift = factor(operator, real_factor)
    if source.dtype == output.dtype == np.int8:
        return table_call(
            operator,
            lambda value: clamp(
                requantise(value - zero_point(source), multiplier, shift) + zero_point(output), low, high
            ),
        )
    types = element(source) if source.dtype == output.dtype else f"{element(source)}_{element(output)}"
    return KernelCall(
        function=f"te_rescale_{types}",
        struct="te_rescale_params",
        fields={
            "count": output.elements,
            "input_zero_point": zero_point(source),
            "output_zero_point": zero_point(output),
            "multiplier": multiplier,
            "shift": shift,
            "output_min": low,
            "output_max": high,
        },
        inputs=(source,),
        output=output,
        op=operator.op,
        name=output.name,
        overlaps=in_place(output, source),
    )
