"""SOFTMAX, with its exponentials worked out at compile time."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from tinyedge.ops.descriptor import INT8_AND_INT16, IntegerLayer, OperatorDescriptor, one_scale
from tinyedge.ops.kernel_call import ConstantArray, Kernel, KernelCall
from tinyedge.ops.overlap import in_place
from tinyedge.ops.rules import output_like, quantised_activation, scale, unsupported, zero_point
from tinyedge.tflite.fixed_point import INT8_MIN, INT32_MAX, exp_of_negative, high_mul, quantise_multiplier
from tinyedge.tflite.graph import Operator, Tensor

if TYPE_CHECKING:
    import torch

# The argument of exp() has 5 integer bits: what is more than 31 below the largest value counts as nothing.
_INTEGER_BITS = 5
# Each value adds up to 2^19 to a sum of 31 bits.
_MAX_DEPTH = 4_095

# In int16, exp() of an argument below -10 counts as nothing, and each value adds up to 2^15 to a sum of 31 bits.
_INT16_RANGE = 10.0
_INT16_STEPS = 2**16 - 1
_INT16_MAX_DEPTH = 65_535
# By so much can the largest difference of int16 values be multiplied.
_INT16_MAX_MULTIPLIER = 2**15 - 1
_TABLE_INTERVALS = 512
# Of the int8 kernel's sum of exponentials.
_SUM_INTEGER_BITS = 12

KERNELS = {
    "s8": Kernel("te_softmax_s8", "te_softmax_params"),
    "s16": Kernel("te_softmax_s16", "te_softmax_s16_params"),
}
"""By the type of the activations."""


def exponentials(operator: Operator, input_scale: float, beta: float) -> np.ndarray:
    """exp(-beta * input_scale * i) for i = 0, 1, ... as int32 fractions of 2^31, as far as they count, at most 256.

    Raises:
        UnsupportedOpError: One input step is too small for the fixed-point exponential.
    """
    real = min(beta * input_scale * 2 ** (31 - _INTEGER_BITS), float(INT32_MAX))
    if real <= 1.0:
        raise unsupported(
            operator, operator.output, f"has beta * input scale {beta * input_scale:g}", "values above 2^-26"
        )
    multiplier, shift = quantise_multiplier(real)
    furthest = ((2**_INTEGER_BITS - 1) << (31 - _INTEGER_BITS)) >> shift
    steps = range(min(furthest, 255) + 1)
    values = [exp_of_negative(high_mul(-step << shift, multiplier), _INTEGER_BITS) for step in steps]
    return np.array(values, dtype=np.int32)


def _lower(operator: Operator) -> KernelCall:
    """Lower SOFTMAX over the last axis."""
    source = quantised_activation(operator)
    output = output_like(operator, source)
    max_depth = _MAX_DEPTH if source.dtype == np.int8 else _INT16_MAX_DEPTH
    if not source.shape or source.shape != output.shape or source.shape[-1] > max_depth:
        raise unsupported(operator, source, f"has shape {list(source.shape)}", f"rows of at most {max_depth} values")
    return (_lower_int8 if source.dtype == np.int8 else _lower_int16)(operator, source, output)


def _lower_int8(operator: Operator, source: Tensor, output: Tensor) -> KernelCall:
    if scale(output) != 1 / 256 or zero_point(output) != -128:
        raise unsupported(
            operator,
            output,
            f"has scale {scale(output):g}, zero point {zero_point(output)}",
            "scale 1/256, zero point -128",
        )
    exps = exponentials(operator, scale(source), float(operator.options.get("beta", 1.0)))
    depth = source.shape[-1]
    return KernelCall(
        kernel=KERNELS["s8"],
        fields={"rows": source.elements // depth, "depth": depth, "levels": len(exps), "exps": ConstantArray(exps)},
        inputs=(source,),
        output=output,
        op=operator.op,
        name=output.name,
        overlaps=in_place(output, source),
    )


def _lower_int16(operator: Operator, source: Tensor, output: Tensor) -> KernelCall:
    if abs(scale(output) * 2**15 - 1) > 1e-3:
        raise unsupported(operator, output, f"has scale {scale(output):g}", "int16 shares of scale 2^-15")
    beta = float(operator.options.get("beta", 1.0))
    unit = _INT16_RANGE / _INT16_STEPS
    real = scale(source) * beta / unit
    if not 0 < real < _INT16_MAX_MULTIPLIER:
        raise unsupported(
            operator,
            source,
            f"has beta * scale {beta * scale(source):g}",
            f"values above 0 and below {_INT16_MAX_MULTIPLIER * unit:.3g} in int16",
        )
    multiplier, shift = quantise_multiplier(real)
    depth = source.shape[-1]
    return KernelCall(
        kernel=KERNELS["s16"],
        fields={
            "rows": source.elements // depth,
            "depth": depth,
            "multiplier": multiplier,
            "shift": shift,
            "exps": ConstantArray(_interpolation_table(np.exp, -_INT16_RANGE, 0.0)),
            "reciprocals": ConstantArray(_interpolation_table(lambda x: 1 / (1 + x), 0.0, 1.0)),
        },
        inputs=(source,),
        output=output,
        op=operator.op,
        name=output.name,
        overlaps=in_place(output, source),
    )


def _interpolation_table(function: Callable[[np.ndarray], np.ndarray], low: float, high: float) -> np.ndarray:
    """A function with values from 0 to 1 at equally spaced points, for straight lines between them.

    Each point is moved by half of the line's error in the middle of the interval on its right. All in single precision,
    as the reference interpreter does.

    Args:
        function: Of an array of float64.
        low: The argument at int16's smallest value.
        high: At its largest.

    Returns:
        (513,) int16, in steps of 2^-15.
    """
    single = np.float32
    # The interpreter gets at the bounds by way of a scale.
    start, end = (single(bound) / single(_INT16_STEPS) * single(_INT16_STEPS) for bound in (low, high))
    step = (end - start) / single(_TABLE_INTERVALS)
    points = start + np.arange(_TABLE_INTERVALS + 1, dtype=single) * step
    output_scale = single(2) / single(_INT16_STEPS)
    steps_per_unit = single(2**16) / (output_scale * single(2**15 - 1) - output_scale * single(-(2**15)))

    def in_steps(arguments: np.ndarray) -> np.ndarray:
        values: np.ndarray = function(arguments.astype(np.float64)).astype(single) * steps_per_unit
        return values

    left, middle, right = in_steps(points[:-1]), in_steps(points[:-1] + step / single(2)), in_steps(points[1:])
    line = _round((right + _round(left)) / single(2))
    moved = _round(left) - _round((line - _round(middle)) / single(2))
    table = np.append(moved, _round(in_steps(np.array([end]))))
    return np.clip(table, -(2**15), 2**15 - 1).astype(np.int16)


def _round(values: np.ndarray) -> np.ndarray:
    """To the nearest whole number, halves away from zero."""
    rounded: np.ndarray = np.trunc(values.astype(np.float64) + np.copysign(0.5, values)).astype(np.float32)
    return rounded


def _float(operator: Operator, x: "torch.Tensor") -> "torch.Tensor":
    return (x * float(operator.options["beta"])).softmax(dim=-1)


def _integer_layer(operator: Operator) -> IntegerLayer:
    import torch

    from tinyedge.ops.arithmetic import integers

    call = _lower(operator)
    known = integers.constants(call, "exps")
    table = torch.zeros(2 * integers.LARGEST_DIFFERENCE, dtype=torch.int64)
    table[: len(known)] = known
    step = integers.scales(operator.input(0)) * float(operator.options["beta"])

    def run(inputs: list[torch.Tensor]) -> torch.Tensor:
        codes = inputs[0].detach().long()
        terms = table[codes.amax(dim=-1, keepdim=True) - codes]
        total = integers.rounding_shift(terms, torch.tensor(_SUM_INTEGER_BITS)).sum(dim=-1, keepdim=True)
        bits = torch.frexp(total.double()).exponent.long()  # total = 2^bits * [1/2, 1)
        reciprocal = _reciprocal_of_one_plus((total << (32 - bits)) - 2**31)
        exponent = _SUM_INTEGER_BITS + bits - 32 + 31 - 8
        shares = integers.rounding_shift(integers.high_mul(reciprocal, terms), exponent.clamp(max=31))
        shares = torch.where(exponent <= 31, shares, 0)
        return integers.straight_through(shares + INT8_MIN, (inputs[0] * step).softmax(dim=-1) * 256)

    return run


def _reciprocal_of_one_plus(x: "torch.Tensor") -> "torch.Tensor":
    """Return 1 / (1 + x) for fractions of 2^31, by three Newton steps, as the int8 kernel does."""
    import torch

    from tinyedge.ops.arithmetic.integers import high_mul

    half = (x + 2**31) >> 1
    estimate = 1515870810 + high_mul(half, torch.tensor(-1010580540))
    for _ in range(3):
        error = (1 << 29) - high_mul(half, estimate)
        estimate = estimate + (high_mul(estimate, error) << 2).clamp(-(2**31), 2**31 - 1)
    return (estimate << 1).clamp(-(2**31), 2**31 - 1)


OPERATORS = (
    OperatorDescriptor(
        name="SOFTMAX",
        lower=_lower,
        versions={"int8": 2, "int16": 3},
        tflm_types=INT8_AND_INT16,
        output_quantisation={"int8": one_scale(1 / 256, -128), "int16": one_scale(1 / 32768, 0)},
        float_function=_float,
        integer_layer=_integer_layer,
    ),
)
