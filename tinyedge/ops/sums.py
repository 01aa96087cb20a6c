"""How a sum of products of values and weights ends: its bias, its factor, and the bits it takes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinyedge.ops.kernel_call import ConstantArray, Fields
from tinyedge.ops.rules import (
    MAX_DEPTH,
    MAX_WIDE_SUM,
    activation_range,
    bias_array,
    bias_values,
    factor_arrays,
    unsupported,
    wide_factor_arrays,
    zero_point,
)
from tinyedge.tflite.graph import Operator, Tensor

INT32, INT64 = np.dtype(np.int32), np.dtype(np.int64)
# The largest magnitude of a product of an int16 and an int8 value.
_MAX_INT16_PRODUCT = 2**22


@dataclass(frozen=True, eq=False)
class Sums:
    """What becomes of the sums of one operator.

    Attributes:
        kernel: The end of the kernel's name: "s8"; "s16" for int16 values in sums of 64 bits, "low_s16" in sums of 32.
        params: What the name of the kernel's struct has before "_params".
        fields: Those members of the struct that are not about where a weight falls.
    """

    kernel: str
    params: str
    fields: Fields


def weighted_sums(operator: Operator, source: Tensor, weights: Tensor, factors: Sequence[float], depth: int) -> Sums:
    """The end of an operator of symmetric weights.

    Args:
        operator: Its third input is the bias, if it has one.
        source: Its first input.
        weights: Its second.
        factors: What one unit of each channel's sum is worth in the output.
        depth: Products in a sum.

    Raises:
        UnsupportedOpError: The bias has another type or length, a factor is too large, or a sum may be.
    """
    return (_int8_sums if source.dtype == np.int8 else _int16_sums)(operator, source, weights, factors, depth)


def _int8_sums(operator: Operator, source: Tensor, weights: Tensor, factors: Sequence[float], depth: int) -> Sums:
    if depth > MAX_DEPTH:
        raise unsupported(
            operator, weights, f"has shape {list(weights.shape)}", f"filters of at most {MAX_DEPTH} weights"
        )
    bias = bias_array(operator, 2, len(factors))
    zero_points: Fields = {
        "input_zero_point": zero_point(source),
        "output_zero_point": zero_point(operator.output),
    }
    return Sums("s8", "", {**zero_points, **_fields(operator, weights, bias, factor_arrays(operator, factors))})


def _int16_sums(operator: Operator, source: Tensor, weights: Tensor, factors: Sequence[float], depth: int) -> Sums:
    """TFLite Micro takes the width of the sums from the type of the bias."""
    # DEPTHWISE_CONV_2D would read an int32 bias as int64 there.
    types = (INT64,) if operator.op == "DEPTHWISE_CONV_2D" else (INT64, INT32)
    values = bias_values(operator, 2, len(factors), types)
    bias = None if values is None else ConstantArray(values.astype(np.int64))
    option = operator.options.get("quantized_bias_type", "FLOAT32")
    if (option if values is None else values.dtype.name.upper()) == "INT32":
        return Sums("low_s16", "_s16", _fields(operator, weights, bias, factor_arrays(operator, factors)))
    largest = 0 if values is None else max(abs(int(value)) for value in values)
    if depth * _MAX_INT16_PRODUCT + largest >= MAX_WIDE_SUM:
        raise unsupported(
            operator,
            weights,
            f"takes part in sums of {depth} products and a bias of up to {largest}",
            f"sums of int16 values below {MAX_WIDE_SUM}",
        )
    return Sums("s16", "_s16", _fields(operator, weights, bias, wide_factor_arrays(operator, factors)))


def _fields(
    operator: Operator, weights: Tensor, bias: ConstantArray | None, factors: tuple[ConstantArray, ConstantArray]
) -> Fields:
    assert weights.data is not None
    output_min, output_max = activation_range(operator)
    multipliers, shifts = factors
    return {
        "output_min": output_min,
        "output_max": output_max,
        "weights": ConstantArray(weights.data),
        "bias": bias,
        "multipliers": multipliers,
        "shifts": shifts,
    }
