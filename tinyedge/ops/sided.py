"""LEAKY_RELU and ABS: one factor for values of zero and above, another one below."""

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from tinyedge.ops.descriptor import INT8_AND_INT16, OperatorDescriptor
from tinyedge.ops.kernel_call import Kernel, KernelCall
from tinyedge.ops.overlap import in_place
from tinyedge.ops.rules import (
    output_like,
    quantised_activation,
    requantisation_multiplier,
    scale,
    unsupported,
    zero_point,
)
from tinyedge.ops.stripes import counted
from tinyedge.ops.table import codes_of, integer_layer_of, table_call
from tinyedge.tflite.fixed_point import clamp, requantise
from tinyedge.tflite.graph import Operator

if TYPE_CHECKING:
    import torch

_KERNEL = Kernel("te_sided_s16", "te_sided_s16_params", stripes=counted)


def _lower(operator: Operator, slope_of: Callable[[Operator], float], of_magnitude: bool) -> KernelCall:
    """Lower a function that is a line on each side of zero.

    Args:
        operator: In int8 a table, in int16 a kernel.
        slope_of: The slope below zero; above it is 1.
        of_magnitude: Whether a value below zero is negated before it is rescaled rather than after.
    """
    source = quantised_activation(operator)
    output = output_like(operator, source)
    if source.elements != output.elements:
        raise unsupported(operator, output, f"has shape {list(output.shape)}", f"shape {list(source.shape)}")
    slope = slope_of(operator)
    if not math.isfinite(slope):
        raise unsupported(operator, output, f"has the slope {slope:g}", "slopes that are numbers")
    above = requantisation_multiplier(operator, scale(source) / scale(output))
    below = requantisation_multiplier(operator, scale(source) * abs(slope) / scale(output))
    before, after = (-1, 1) if of_magnitude else (1, -1 if slope < 0 else 1)
    if source.dtype == np.int8:

        def evaluate(code: int) -> int:
            value = code - zero_point(source)
            scaled = requantise(value, *above) if value >= 0 else after * requantise(before * value, *below)
            return clamp(scaled + zero_point(output), -128, 127)

        return table_call(operator, evaluate)
    return KernelCall(
        kernel=_KERNEL,
        fields={
            "count": output.elements,
            "above_multiplier": above[0],
            "above_shift": above[1],
            "below_multiplier": below[0],
            "below_shift": below[1],
            "sign_before": before,
            "sign_after": after,
        },
        inputs=(source,),
        output=output,
        op=operator.op,
        name=output.name,
        overlaps=in_place(output, source),
    )


def _alpha(operator: Operator) -> float:
    return float(operator.options.get("alpha", 0.0))


def _minus_one(_: Operator) -> float:
    return -1.0


def _float_abs(operator: Operator, x: "torch.Tensor") -> "torch.Tensor":
    return x.abs()


def _float_leaky_relu(operator: Operator, x: "torch.Tensor") -> "torch.Tensor":
    return x.where(x >= 0, x * _alpha(operator))


_LOWER_LEAKY_RELU = partial(_lower, slope_of=_alpha, of_magnitude=False)
_LOWER_ABS = partial(_lower, slope_of=_minus_one, of_magnitude=True)

OPERATORS = (
    OperatorDescriptor(
        name="ABS",
        lower=_LOWER_ABS,
        versions={"int8": 2, "int16": 3},
        tflm_types=INT8_AND_INT16,
        is_function=True,
        codes=codes_of(_LOWER_ABS),
        float_function=_float_abs,
        integer_layer=integer_layer_of(_LOWER_ABS, _float_abs),
    ),
    OperatorDescriptor(
        name="LEAKY_RELU",
        lower=_LOWER_LEAKY_RELU,
        versions={"int8": 2, "int16": 2},
        tflm_types=INT8_AND_INT16,
        is_function=True,
        codes=codes_of(_LOWER_LEAKY_RELU),
        float_function=_float_leaky_relu,
        integer_layer=integer_layer_of(_LOWER_LEAKY_RELU, _float_leaky_relu),
    ),
)
