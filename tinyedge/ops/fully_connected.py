"""FULLY_CONNECTED."""

import math
from typing import TYPE_CHECKING

import numpy as np

from tinyedge.ops.accumulators import weighted_accumulators
from tinyedge.ops.conv2d import KERNELS as CONVOLUTIONS
from tinyedge.ops.descriptor import INT4, INT8_AND_INT16, OperatorDescriptor, WeightsLayout
from tinyedge.ops.kernel_call import ConstantArray, Kernel, KernelCall
from tinyedge.ops.overlap import pixel_lag
from tinyedge.ops.padding import window_fields
from tinyedge.ops.rules import (
    MAX_DEPTH,
    MAX_DEPTH_TWO_OFFSETS,
    bias_array,
    channel_scales,
    clamp_range,
    output_like,
    quantised_activation,
    requantisation_multipliers,
    scale,
    unsupported,
    weights_input,
    zero_point,
)
from tinyedge.ops.stripes import pixelwise
from tinyedge.ops.window import PIXEL
from tinyedge.tflite.graph import Operator, Tensor

if TYPE_CHECKING:
    import torch

KERNEL = Kernel("te_fully_connected_s8", "te_fully_connected_params", stripes=pixelwise)


def _lower(operator: Operator) -> KernelCall:
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
    if source.dtype == np.int16 or weights.is_int4:
        return _convolution_of_rows(operator, source, weights)
    weights_zero_point = 0
    if weights.q.scales.size == 1:
        weight_scales = [weights.q.scale] * out_c
        weights_zero_point = weights.q.zero_point
    else:
        weight_scales = channel_scales(operator, weights, 0)
    real_multipliers = [scale(source) * weight_scale / scale(output) for weight_scale in weight_scales]
    limit = MAX_DEPTH if weights_zero_point == 0 else MAX_DEPTH_TWO_OFFSETS
    if in_c > limit:
        raise unsupported(operator, weights, f"has {in_c} inputs", f"at most {limit} inputs with these zero points")
    multipliers, shifts = requantisation_multipliers(operator, real_multipliers)
    output_min, output_max = clamp_range(operator)
    return KernelCall(
        kernel=KERNEL,
        fields={
            "batches": source.elements // in_c,
            "in_c": in_c,
            "out_c": out_c,
            "input_zero_point": zero_point(source),
            "weights_zero_point": weights_zero_point,
            "output_zero_point": zero_point(output),
            "output_min": output_min,
            "output_max": output_max,
            "weights": ConstantArray(weights.values),
            "bias": bias_array(operator, 2, out_c),
            "multipliers": multipliers,
            "shifts": shifts,
        },
        inputs=(source,),
        output=output,
        op=operator.op,
        name=output.name,
        overlaps=pixel_lag(source, output, source.elements // in_c),
    )


def _convolution_of_rows(operator: Operator, source: Tensor, weights: Tensor) -> KernelCall:
    """The same sums as a convolution of 1x1 filters over an image of one row."""
    output = operator.output
    out_c, in_c = weights.shape
    rows = source.elements // in_c
    accumulators = weighted_accumulators(operator, 0, in_c)
    return KernelCall(
        kernel=CONVOLUTIONS[accumulators.kind],
        fields={
            **window_fields((1, 1, rows, in_c), (1, 1, rows, out_c), PIXEL, PIXEL),
            "out_c": out_c,
            "group_c": in_c,
            **accumulators.fields,
        },
        inputs=(source,),
        output=output,
        op=operator.op,
        name=output.name,
        overlaps=pixel_lag(source, output, rows),
    )


def _macs(operator: Operator) -> int:
    return operator.output.elements * math.prod(operator.input(1).shape[-1:])


def _float(
    operator: Operator, x: "torch.Tensor", weight: "torch.Tensor", bias: "torch.Tensor | None" = None
) -> "torch.Tensor":
    import torch.nn.functional as F

    from tinyedge.ops.arithmetic.floats import activated, batched

    return batched(operator, activated(operator, F.linear(x.reshape(-1, weight.shape[1]), weight, bias)))


OPERATORS = (
    OperatorDescriptor(
        name="FULLY_CONNECTED",
        inputs=(2, 3),
        lower=_lower,
        macs=_macs,
        versions={"int8": 5, "int16": 7, INT4: 10},
        tflm_types=INT8_AND_INT16,
        weights=WeightsLayout(rank=2, channel_axis=0),
        fuses_activation=True,
        float_function=_float,
    ),
)
