"""CONV_2D."""

import math
from typing import TYPE_CHECKING

from tinyedge.ops.accumulators import weighted_accumulators
from tinyedge.ops.descriptor import INT4, INT8_AND_INT16, OperatorDescriptor, WeightsLayout
from tinyedge.ops.kernel_call import Kernel, KernelCall
from tinyedge.ops.overlap import pixel_lag, row_lag
from tinyedge.ops.padding import window_fields, windows
from tinyedge.ops.rules import output_like, quantised_activation, unsupported, weights_input
from tinyedge.ops.stripes import windowed
from tinyedge.ops.window import PIXEL
from tinyedge.tflite.graph import Operator

if TYPE_CHECKING:
    import torch

KERNELS = {
    "s8": Kernel("te_conv2d_s8", "te_conv2d_params", stripes=windowed, has_window=True),
    "s4": Kernel("te_conv2d_s4", "te_conv2d_params", stripes=windowed, has_window=True),
    "s16": Kernel("te_conv2d_s16", "te_conv2d_s16_params", stripes=windowed, has_window=True),
    "low_s16": Kernel("te_conv2d_low_s16", "te_conv2d_s16_params", stripes=windowed, has_window=True),
}
"""By the kind of its accumulators."""


def _lower(operator: Operator) -> KernelCall:
    """Lower CONV_2D, in groups where a filter sees a divisor of the input's channels."""
    source, weights = quantised_activation(operator), weights_input(operator)
    output = output_like(operator, source)
    if len(weights.shape) != 4:
        raise unsupported(operator, weights, f"has shape {list(weights.shape)}", "weights as (filters, h, w, channels)")
    filters, kernel_h, kernel_w, group_c = weights.shape
    vertical, horizontal = windows(operator, source, (kernel_h, kernel_w))
    in_c = source.shape[3]
    if in_c % group_c or filters % (in_c // group_c) or output.shape[3] != filters:
        raise unsupported(
            operator,
            weights,
            f"has shape {list(weights.shape)} for {in_c} input and {output.shape[3]} output channels",
            "as many filters as output channels, on all or equal groups of the input channels",
        )
    depth = kernel_h * kernel_w * group_c
    of_pixels = vertical == horizontal == PIXEL and source.shape[:3] == output.shape[:3]
    accumulators = weighted_accumulators(operator, 0, depth)
    return KernelCall(
        kernel=KERNELS[accumulators.kind],
        fields={
            **window_fields(source.shape, output.shape, vertical, horizontal),
            "out_c": filters,
            "group_c": group_c,
            **accumulators.fields,
        },
        inputs=(source,),
        output=output,
        op=operator.op,
        name=output.name,
        overlaps=pixel_lag(source, output, math.prod(source.shape[:3]))
        if of_pixels
        else row_lag(source, output, vertical),
    )


def _macs(operator: Operator) -> int:
    return operator.output.elements * math.prod(operator.input(1).shape[1:])


def _float(
    operator: Operator, x: "torch.Tensor", weight: "torch.Tensor", bias: "torch.Tensor | None" = None
) -> "torch.Tensor":
    from tinyedge.ops.arithmetic.floats import convolution

    groups = x.shape[-1] // weight.shape[-1]
    return convolution(operator, x, weight.permute(0, 3, 1, 2), bias, groups)  # (O, kh, kw, I) -> (O, I, kh, kw)


OPERATORS = (
    OperatorDescriptor(
        name="CONV_2D",
        inputs=(2, 3),
        lower=_lower,
        macs=_macs,
        versions={"int8": 3, "int16": 4, INT4: 7},
        tflm_types=INT8_AND_INT16,
        weights=WeightsLayout(rank=4, channel_axis=0),
        is_convolution=True,
        fuses_activation=True,
        float_function=_float,
    ),
)
