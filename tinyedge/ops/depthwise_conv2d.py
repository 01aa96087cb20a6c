"""DEPTHWISE_CONV_2D."""

import math
from typing import TYPE_CHECKING

import numpy as np

from tinyedge.ops.accumulators import weighted_accumulators
from tinyedge.ops.descriptor import INT4, INT8_AND_INT16, OperatorDescriptor, WeightsLayout
from tinyedge.ops.kernel_call import Kernel, KernelCall
from tinyedge.ops.overlap import row_lag
from tinyedge.ops.padding import window_fields, windows
from tinyedge.ops.rules import output_like, quantised_activation, unsupported, weights_input
from tinyedge.ops.stripes import windowed
from tinyedge.tflite.graph import Operator

if TYPE_CHECKING:
    import torch

# Products of int16 and int8 values whose sum fits 32 bits.
_MAX_INT16_ROW = 511

KERNELS = {
    "s8": Kernel(
        "te_depthwise_conv2d_s8", "te_depthwise_conv2d_params", stripes=windowed, loads_rows=True, has_window=True
    ),
    "s4": Kernel(
        "te_depthwise_conv2d_s4", "te_depthwise_conv2d_params", stripes=windowed, loads_rows=True, has_window=True
    ),
    "s16": Kernel(
        "te_depthwise_conv2d_s16", "te_depthwise_conv2d_s16_params", stripes=windowed, loads_rows=True, has_window=True
    ),
}
"""By the kind of its accumulators."""


def _lower(operator: Operator) -> KernelCall:
    """Lower DEPTHWISE_CONV_2D with any channel multiplier."""
    source, weights = quantised_activation(operator), weights_input(operator)
    output = output_like(operator, source)
    if len(weights.shape) != 4 or weights.shape[0] != 1:
        raise unsupported(operator, weights, f"has shape {list(weights.shape)}", "weights as (1, h, w, channels)")
    _, kernel_h, kernel_w, out_c = weights.shape
    vertical, horizontal = windows(operator, source, (kernel_h, kernel_w))
    in_c = source.shape[3]
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
    accumulators = weighted_accumulators(operator, 3, depth, narrow_int16=False)
    return KernelCall(
        kernel=KERNELS[accumulators.kind],
        fields={
            **window_fields(source.shape, output.shape, vertical, horizontal),
            "multiplier_c": out_c // in_c,
            **accumulators.fields,
        },
        inputs=(source,),
        output=output,
        op=operator.op,
        name=output.name,
        overlaps=row_lag(source, output, vertical),
    )


def _macs(operator: Operator) -> int:
    return operator.output.elements * math.prod(operator.input(1).shape[1:3])


def _float(
    operator: Operator, x: "torch.Tensor", weight: "torch.Tensor", bias: "torch.Tensor | None" = None
) -> "torch.Tensor":
    from tinyedge.ops.arithmetic.floats import convolution

    return convolution(operator, x, weight.permute(3, 0, 1, 2), bias, x.shape[3])  # (1, kh, kw, O) -> (O, 1, kh, kw)


OPERATORS = (
    OperatorDescriptor(
        name="DEPTHWISE_CONV_2D",
        inputs=(2, 3),
        lower=_lower,
        macs=_macs,
        versions={"int8": 3, "int16": 5, INT4: 7},
        tflm_types=INT8_AND_INT16,
        weights=WeightsLayout(rank=4, channel_axis=3, depthwise=True),
        is_convolution=True,
        fuses_activation=True,
        float_function=_float,
    ),
)
