"""How an accumulator of products of values and weights ends: its bias, its requantisation, and the bits it takes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinyedge.ops.kernel_call import ConstantArray, Fields
from tinyedge.ops.rules import (
    MAX_DEPTH,
    MAX_INT16X8_SUM,
    bias_array,
    bias_values,
    channel_scales,
    clamp_range,
    int16x8_multipliers,
    quantised_activation,
    requantisation_multipliers,
    scale,
    unsupported,
    weights_input,
    zero_point,
)
from tinyedge.tflite.graph import Operator, Tensor
from tinyedge.tflite.nibbles import pack_int4

_INT32, _INT64 = np.dtype(np.int32), np.dtype(np.int64)
# The largest magnitude of a product of an int16 and an int8 value.
_MAX_INT16_PRODUCT = 2**22


@dataclass(frozen=True, eq=False)
class Accumulators:
    """What becomes of the accumulators of one operator.

    Attributes:
        kind: "s8"; "s4" with INT4 weights; "s16" for int16 values in accumulators of 64 bits, "low_s16" in 32.
        fields: Those members of the struct that are not about where a weight falls.
    """

    kind: str
    fields: Fields


def weighted_accumulators(operator: Operator, channel_axis: int, depth: int, narrow_int16: bool = True) -> Accumulators:
    """The end of an operator of symmetric weights.

    Args:
        operator: Of an activation, weights and, if it has one, a bias.
        channel_axis: The axis of the weights that has the output channels.
        depth: Products in an accumulator.
        narrow_int16: Whether int16 values with an int32 bias have accumulators of 32 bits, as in TFLite Micro.

    Raises:
        UnsupportedOpError: The bias has another type or length, a scale is too large, or an accumulator may be.
    """
    source, weights = quantised_activation(operator), weights_input(operator)
    output_scale = scale(operator.output)
    scales = [scale(source) * value / output_scale for value in channel_scales(operator, weights, channel_axis)]
    if source.dtype == np.int8:
        return _int8_accumulators(operator, source, weights, scales, depth)
    if weights.is_int4:
        raise unsupported(operator, weights, "is INT4 beside int16 values", "INT4 weights of int8 values")
    return _int16_accumulators(operator, weights, scales, depth, narrow_int16)


def with_zero_point(bias: np.ndarray, weights: np.ndarray, zero_point: int) -> np.ndarray:
    """Return biases of sums of codes that give those of the values, which are codes less their zero point.

    Args:
        bias: (...) int64.
        weights: (..., depth) int8.
        zero_point: Of the values.

    Returns:
        (...) int32, modulo 2^32 as the sums are.
    """
    folded: np.ndarray = (bias - zero_point * weights.sum(axis=-1, dtype=np.int64)).astype(np.uint32).view(np.int32)
    return folded


def _int8_accumulators(
    operator: Operator, source: Tensor, weights: Tensor, scales: Sequence[float], depth: int
) -> Accumulators:
    if depth > MAX_DEPTH:
        raise unsupported(
            operator, weights, f"has shape {list(weights.shape)}", f"filters of at most {MAX_DEPTH} weights"
        )
    bias = bias_array(operator, 2, len(scales))
    zero_points: Fields = {
        "input_zero_point": zero_point(source),
        "output_zero_point": zero_point(operator.output),
    }
    return Accumulators(
        "s4" if weights.is_int4 else "s8",
        {**zero_points, **_fields(operator, weights, bias, requantisation_multipliers(operator, scales))},
    )


def _int16_accumulators(
    operator: Operator, weights: Tensor, scales: Sequence[float], depth: int, narrow: bool
) -> Accumulators:
    """TFLite Micro takes the width of the accumulators from the type of the bias."""
    values = bias_values(operator, 2, len(scales), (_INT64, _INT32) if narrow else (_INT64,))
    bias = None if values is None else ConstantArray(values.astype(np.int64))
    option = operator.options.get("quantized_bias_type", "FLOAT32")
    if (option if values is None else values.dtype.name.upper()) == "INT32":
        return Accumulators("low_s16", _fields(operator, weights, bias, requantisation_multipliers(operator, scales)))
    largest = 0 if values is None else max(abs(int(value)) for value in values)
    if depth * _MAX_INT16_PRODUCT + largest >= MAX_INT16X8_SUM:
        raise unsupported(
            operator,
            weights,
            f"takes part in sums of {depth} products and a bias of up to {largest}",
            f"sums of int16 values below {MAX_INT16X8_SUM}",
        )
    return Accumulators("s16", _fields(operator, weights, bias, int16x8_multipliers(operator, scales)))


def _fields(
    operator: Operator, weights: Tensor, bias: ConstantArray | None, requantisation: tuple[ConstantArray, ConstantArray]
) -> Fields:
    output_min, output_max = clamp_range(operator)
    multipliers, shifts = requantisation
    return {
        "output_min": output_min,
        "output_max": output_max,
        "weights": ConstantArray(pack_int4(weights.values).view(np.int8) if weights.is_int4 else weights.values),
        "bias": bias,
        "multipliers": multipliers,
        "shifts": shifts,
    }
