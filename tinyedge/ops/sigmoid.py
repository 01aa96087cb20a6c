"""LOGISTIC and TANH."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from tinyedge.ops.descriptor import INT8_AND_INT16, FloatFunction, Lowering, OperatorDescriptor, one_scale
from tinyedge.ops.kernel_call import ConstantArray, Kernel, KernelCall
from tinyedge.ops.overlap import in_place
from tinyedge.ops.rules import output_like, quantised_activation, scale, unsupported, zero_point
from tinyedge.ops.stripes import counted
from tinyedge.ops.table import codes_of, integer_layer_of, table_call
from tinyedge.tflite.fixed_point import (
    clamp,
    logistic,
    quantise_multiplier,
    requantise,
    round_half_away,
    rounding_shift,
    tanh,
)
from tinyedge.tflite.graph import Operator, Quantisation, Tensor

if TYPE_CHECKING:
    import torch

# The tables of int16 values have 24 points for each unit of the sigmoid's argument.
_POINTS_PER_UNIT = 24
_POINTS = 256
# An int16 argument is brought to 512 steps a point.
_STEPS_PER_UNIT = _POINTS_PER_UNIT * 512
_INT16_MAX = 2**15 - 1
_MAX_SHIFT = 31

_LOGISTIC = Kernel("te_logistic_s16", "te_sigmoid_s16_params", stripes=counted)
_TANH = Kernel("te_tanh_s16", "te_sigmoid_s16_params", stripes=counted)


def _lower_logistic(operator: Operator) -> KernelCall:
    """Lower LOGISTIC, in int8 to an output of scale 1/256, in int16 of scale 2^-15."""
    source = quantised_activation(operator)
    output = output_like(operator, source)
    if source.dtype == np.int16:
        return _int16_sigmoid(operator, _LOGISTIC, (-12,))
    if zero_point(output) != -128:
        raise unsupported(operator, output, f"has zero point {zero_point(output)}", "zero point -128")
    return table_call(operator, _saturating_function(operator, source, logistic, 8, -128))


def _lower_tanh(operator: Operator) -> KernelCall:
    """Lower TANH to an output of zero point 0, in int8 of scale 1/128, in int16 of scale 2^-15."""
    source = quantised_activation(operator)
    output_like(operator, source)
    if source.dtype == np.int16:
        return _int16_sigmoid(operator, _TANH, (-12, -11))
    return table_call(operator, _saturating_function(operator, source, tanh, 7, 0))


def _saturating_function(
    operator: Operator, source: Tensor, function: Callable[[int, int], int], fraction_bits: int, offset: int
) -> Callable[[int], int]:
    """A function that is flat beyond 15 in magnitude, evaluated on numbers with 4 integer bits.

    Args:
        operator: For the error.
        source: The input.
        function: From (raw number, its integer bits) to a fraction of 2^31.
        fraction_bits: The result is in steps of 2^-fraction_bits,
        offset: to which this is added.

    Raises:
        UnsupportedOpError: The input's scale is too small for the fixed-point argument.
    """
    if scale(source) < 2**-27:
        raise unsupported(operator, source, f"has scale {scale(source):g}", "scales of at least 2^-27")
    integer_bits = 4
    multiplier, shift = quantise_multiplier(scale(source) * 2 ** (31 - integer_bits))
    radius = math.floor((2**integer_bits - 1) * 2 ** (31 - integer_bits) / 2**shift)

    def evaluate(value: int) -> int:
        x = value - zero_point(source)
        if x <= -radius:
            return -128
        if x >= radius:
            return 127
        result = function(requantise(x, multiplier, shift), integer_bits)
        return clamp(rounding_shift(result, 31 - fraction_bits) + offset, -128, 127)

    return evaluate


def _int16_sigmoid(operator: Operator, kernel: Kernel, exponents: tuple[int, ...]) -> KernelCall:
    """Interpolation in a table of the sigmoid.

    Args:
        operator: From int16 to int16.
        kernel: Which.
        exponents: The input scales of 2^exponent, give or take a thousandth, for which the reference interpreter has
            an exact multiplier.
    """
    source, output = quantised_activation(operator), output_like(operator, quantised_activation(operator))
    if source.elements != output.elements:
        raise unsupported(operator, output, f"has shape {list(output.shape)}", f"shape {list(source.shape)}")
    if exponent_of(scale(output)) != -15:
        raise unsupported(operator, output, f"has scale {scale(output):g}", "int16 results of scale 2^-15")
    exponent = exponent_of(scale(source))
    if exponent in exponents:
        multiplier, shift = 3 << (exponent + 12), 0
    else:
        real, shift = scale(source) * _STEPS_PER_UNIT, 0
        while real <= _INT16_MAX / 2 and shift < _MAX_SHIFT:
            real, shift = 2 * real, shift + 1
        multiplier = int(real)
    if multiplier > _INT16_MAX or shift == _MAX_SHIFT:
        raise unsupported(operator, source, f"has scale {scale(source):g}", "int16 scales from 2^-29 to 2.66")
    return KernelCall(
        kernel=kernel,
        fields={
            "count": output.elements,
            "multiplier": multiplier,
            "shift": shift,
            "table": ConstantArray(sigmoid_points()),
        },
        inputs=(source,),
        output=output,
        op=operator.op,
        name=output.name,
        overlaps=in_place(output, source),
    )


def sigmoid_points() -> np.ndarray:
    """The sigmoid at the points in steps of 2^-16, each raised by half of what the chord to the next falls short."""

    def sigmoid(point: float) -> float:
        return 1 / (1 + math.exp(-point / _POINTS_PER_UNIT))

    values = []
    for point in range(_POINTS - 1):
        chord = (sigmoid(point) + sigmoid(point + 1)) / 2
        values.append(round_half_away(2**16 * (sigmoid(point) + (sigmoid(point + 0.5) - chord) / 2)))
    return np.array([*values, 2**16 - 1], dtype=np.uint16)


def exponent_of(value: float) -> int | None:
    """The power of two that a scale is, give or take a thousandth of a doubling; None if it is none."""
    exponent = math.log2(value)
    return round(exponent) if abs(exponent - round(exponent)) < 1e-3 else None


def _float_logistic(operator: Operator, x: "torch.Tensor") -> "torch.Tensor":
    return x.sigmoid()


def _float_tanh(operator: Operator, x: "torch.Tensor") -> "torch.Tensor":
    return x.tanh()


def _describe(name: str, lowering: Lowering, function: FloatFunction, int8_output: Quantisation) -> OperatorDescriptor:
    return OperatorDescriptor(
        name=name,
        lower=lowering,
        versions={"int8": 2, "int16": 3},
        tflm_types=INT8_AND_INT16,
        output_quantisation={"int8": int8_output, "int16": one_scale(1 / 32768, 0)},
        codes=codes_of(lowering),
        is_function=True,
        float_function=function,
        integer_layer=integer_layer_of(lowering, function),
    )


OPERATORS = (
    _describe("LOGISTIC", _lower_logistic, _float_logistic, one_scale(1 / 256, -128)),
    _describe("TANH", _lower_tanh, _float_tanh, one_scale(1 / 128, 0)),
)
