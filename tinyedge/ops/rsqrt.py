"""RSQRT: 1 / sqrt(x) of int8 values, as a table."""

from typing import TYPE_CHECKING

import numpy as np

from tinyedge.ops.descriptor import INT8, OperatorDescriptor
from tinyedge.ops.functions import looked_up
from tinyedge.ops.kernel_call import KernelCall
from tinyedge.ops.rules import int8_activation, int8_output, requantisation_multiplier, unsupported, zero_point
from tinyedge.ops.table import codes_of, table_call
from tinyedge.tflite.fixed_point import INT8_MAX, INT8_MIN, clamp, inverse_sqrt, requantise
from tinyedge.tflite.graph import Operator

if TYPE_CHECKING:
    import torch

_FRACTION_BITS = 20
_MAX_RIGHT_SHIFT = 31


def _lower(operator: Operator) -> KernelCall:
    """Lower RSQRT; TFLite Micro stops at values below the zero point, which have the result of 0 here."""
    source, output = int8_activation(operator), int8_output(operator)
    with np.errstate(divide="ignore", over="ignore", under="ignore"):
        unit = float(1 / np.float64(np.sqrt(source.q.scales[0]) * output.q.scales[0]))
    multiplier, shift = requantisation_multiplier(operator, unit)
    if shift - _FRACTION_BITS < -_MAX_RIGHT_SHIFT:
        raise unsupported(
            operator,
            output,
            f"counts 1 / sqrt in {unit:g} steps",
            f"scales that make more than 2^{_FRACTION_BITS - _MAX_RIGHT_SHIFT}",
        )

    def evaluate(code: int) -> int:
        value = code - zero_point(source)
        if value <= 0:
            return INT8_MAX
        inverse, inverse_shift = inverse_sqrt(value)
        fraction = requantise(1, inverse, inverse_shift + _FRACTION_BITS)
        scaled = requantise(fraction, multiplier, shift - _FRACTION_BITS)
        return clamp(scaled + zero_point(output), INT8_MIN, INT8_MAX)

    return table_call(operator, evaluate)


def _float(operator: Operator, x: "torch.Tensor") -> "torch.Tensor":
    return x.rsqrt()


OPERATORS = (
    OperatorDescriptor(
        name="RSQRT",
        lower=_lower,
        expand=looked_up(_float),
        tflm_types=INT8,
        codes=codes_of(_lower),
        is_function=True,
        float_function=_float,
    ),
)
