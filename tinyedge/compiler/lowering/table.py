"""Functions of one int8 value: RELU and its kin, HARD_SWISH, LOGISTIC, TANH, GELU and the rescaling QUANTIZE.

Each becomes a table of its 256 results. What a function returns for a value is computed as the reference interpreter
computes it, quirks included: its RELU6 clamps without rescaling, and LOGISTIC and TANH take the output's scale for
granted. TFLite Micro has no GELU; LiteRT has, and is the reference there. TABLE is no operator of TFLite: the pass
`fuse_tables` makes it of several.
"""

import math
from collections.abc import Callable

import numpy as np

from tinyedge.compiler.fixed_point import (
    clamp,
    high_mul_int16,
    logistic,
    quantise_multiplier,
    requantise,
    rounding_shift,
    tanh,
)
from tinyedge.compiler.gelu import gelu_codes
from tinyedge.compiler.graph import Operator, Tensor
from tinyedge.compiler.kernel_call import ConstantArray, KernelCall
from tinyedge.compiler.lowering.registry import lowers
from tinyedge.compiler.lowering.rules import (
    factor,
    int8_activation,
    int8_output,
    quantise,
    scale,
    unsupported,
    zero_point,
)

_INT16_MIN, _INT16_MAX = -(2**15), 2**15 - 1


def _table_call(operator: Operator, function: Callable[[int], int]) -> KernelCall:
    return _lookup(operator, np.array([function(value) for value in range(-128, 128)], dtype=np.int8))


def _lookup(operator: Operator, table: np.ndarray) -> KernelCall:
    source, output = int8_activation(operator), int8_output(operator)
    if source.elements != output.elements:
        raise unsupported(operator, output, f"has shape {list(output.shape)}", f"shape {list(source.shape)}")
    return KernelCall(
        function="te_table_s8",
        struct="te_table_params",
        fields={"count": output.elements, "table": ConstantArray(table)},
        inputs=(source,),
        output=output,
        op=operator.op,
        name=output.name,
    )


def _rescaling(operator: Operator, real_factor: float, low: int) -> Callable[[int], int]:
    source, output = int8_activation(operator), int8_output(operator)
    multiplier, shift = factor(operator, real_factor)

    def rescale(value: int) -> int:
        scaled = requantise(value - zero_point(source), multiplier, shift)
        return clamp(scaled + zero_point(output), low, 127)

    return rescale


@lowers("QUANTIZE")
def lower_quantize(operator: Operator) -> KernelCall:
    """Lower QUANTIZE from int8 to int8."""
    source, output = int8_activation(operator), int8_output(operator)
    return _table_call(operator, _rescaling(operator, scale(source) / scale(output), -128))


@lowers("RELU")
def lower_relu(operator: Operator) -> KernelCall:
    """Lower a RELU that stands alone."""
    source, output = int8_activation(operator), int8_output(operator)
    return _table_call(operator, _rescaling(operator, scale(source) / scale(output), max(-128, zero_point(output))))


@lowers("LEAKY_RELU")
def lower_leaky_relu(operator: Operator) -> KernelCall:
    """Lower LEAKY_RELU with a slope that is not negative."""
    source, output = int8_activation(operator), int8_output(operator)
    slope = float(operator.options.get("alpha", 0.0))
    if not slope >= 0:
        raise unsupported(operator, output, f"has the slope {slope:g}", "slopes that are not negative")
    above = _rescaling(operator, scale(source) / scale(output), -128)
    below = _rescaling(operator, scale(source) * slope / scale(output), -128)
    return _table_call(operator, lambda value: above(value) if value >= zero_point(source) else below(value))


@lowers("RELU6")
def lower_relu6(operator: Operator) -> KernelCall:
    """Lower a RELU6 that stands alone: a clamp in the input's quantisation, whatever the output's is."""
    source = int8_activation(operator)
    zero = zero_point(source)
    six = clamp(quantise(operator, source, 6.0), -128, 127)
    return _table_call(operator, lambda value: six if value > six else max(value, zero))


def _saturating_function(
    source: Tensor, function: Callable[[int, int], int], fraction_bits: int, offset: int
) -> Callable[[int], int]:
    """A function that is flat beyond 15 in magnitude, evaluated on numbers with 4 integer bits.

    Args:
        source: The input.
        function: From (raw number, its integer bits) to a fraction of 2^31.
        fraction_bits: The result is in steps of 2^-fraction_bits,
        offset: to which this is added.
    """
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


def _require_scale(operator: Operator) -> Tensor:
    source = int8_activation(operator)
    if scale(source) < 2**-27:
        raise unsupported(operator, source, f"has scale {scale(source):g}", "scales of at least 2^-27")
    return source


@lowers("LOGISTIC")
def lower_logistic(operator: Operator) -> KernelCall:
    """Lower LOGISTIC to an output of scale 1/256."""
    source, output = _require_scale(operator), int8_output(operator)
    if zero_point(output) != -128:
        raise unsupported(operator, output, f"has zero point {zero_point(output)}", "zero point -128")
    return _table_call(operator, _saturating_function(source, logistic, 8, -128))


@lowers("TANH")
def lower_tanh(operator: Operator) -> KernelCall:
    """Lower TANH to an output of scale 1/128 and zero point 0."""
    return _table_call(operator, _saturating_function(_require_scale(operator), tanh, 7, 0))


def _wrap_int16(value: int) -> int:
    return (value + 2**15) % 2**16 - 2**15


def _rounding_shift_int16(value: int, exponent: int) -> int:
    """rounding_shift() on a 16-bit machine, where the mask of a long shift loses its upper bits."""
    mask = _wrap_int16((1 << exponent) - 1)
    threshold = (mask >> 1) + (value < 0)
    return _wrap_int16((value >> exponent) + ((value & mask) > threshold))


def _int16_factor(value: float) -> tuple[int, int]:
    """A factor with a multiplier of 16 bits."""
    multiplier, shift = quantise_multiplier(value)
    return min((multiplier + (1 << 15)) >> 16, _INT16_MAX), shift


@lowers("HARD_SWISH")
def lower_hard_swish(operator: Operator) -> KernelCall:
    """Lower HARD_SWISH, which is x * clamp(x / 6 + 1 / 2, 0, 1) in 16-bit fixed point."""
    source, output = int8_activation(operator), int8_output(operator)
    fine_scale = scale(source) / 128
    output_multiplier, output_shift = _int16_factor(fine_scale / scale(output))
    gate_multiplier, gate_shift = _int16_factor(fine_scale / (3 / 2**15))
    if output_shift > 0 or gate_shift > 31:
        raise unsupported(
            operator,
            output,
            f"has scale {scale(output):g} from {scale(source):g}",
            "input scales up to 64 times the output's",
        )

    def evaluate(value: int) -> int:
        fine = (value - zero_point(source)) * 128
        scaled = high_mul_int16(fine, output_multiplier)
        gate = fine  # In steps of 3 / 2^15: from -3 to 3, saturated.
        if gate_shift > 0:
            gate = clamp(gate << (gate_shift - 1), _INT16_MIN, _INT16_MAX)
        gate = high_mul_int16(gate, gate_multiplier)
        if gate_shift > 0:
            gate = clamp(gate << 1, _INT16_MIN, _INT16_MAX)
        elif gate_shift < 0:
            gate = _rounding_shift_int16(gate, -gate_shift)
        gate = (gate + 2**15) >> 1  # Now from 0 to 1.
        product = gate * scaled
        truncated = abs(product) >> 15
        result = _rounding_shift_int16(truncated if product >= 0 else -truncated, -output_shift)
        return clamp(_wrap_int16(result + zero_point(output)), -128, 127)

    return _table_call(operator, evaluate)


@lowers("GELU")
def lower_gelu(operator: Operator) -> KernelCall:
    """Lower GELU, by the error function or by the hyperbolic tangent."""
    source, output = int8_activation(operator), int8_output(operator)
    assert source.quantisation is not None
    assert output.quantisation is not None
    approximate = bool(operator.options.get("approximate", False))
    return _lookup(operator, gelu_codes(source.quantisation, output.quantisation, approximate))


@lowers("TABLE")
def lower_table(operator: Operator) -> KernelCall:
    """Lower what `fuse_tables` made; a file's own custom operator of this name has no table."""
    table = operator.options.get("table")
    if not isinstance(table, np.ndarray):
        raise unsupported(operator, operator.outputs[0], "is custom", "TFLite's own operators")
    return _lookup(operator, table)
