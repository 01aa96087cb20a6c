"""The reference interpreter's fixed-point arithmetic, in Python integers.

TFLite Micro turns each requantisation multiplier into an integer and a shift, and applies it with two roundings (the
high half of the doubled product, then the right shift). Functions of one int8 value - LOGISTIC, TANH, HARD_SWISH - are
polynomial and Newton steps in the same arithmetic. Everything here gives the bits that it gives, so that the compiler
can evaluate at compile time what the device then only looks up.

A fixed-point number Qm is an integer of 32 bits, sign included, with m integer bits: real = raw / 2^(31 - m).
"""

import math
from typing import TypeVar

import numpy as np

INT8_MIN, INT8_MAX = -128, 127
INT32_MIN = -(2**31)
INT32_MAX = 2**31 - 1
ACCUMULATOR_BOUND = 2**30
"""Below it an accumulator and half a unit on top stay within 32 bits: requantisation neither wraps nor saturates."""

Integers = TypeVar("Integers", int, np.ndarray)
"""One integer, or an array of them as int64."""


def round_half_away(value: float) -> int:
    """Round to the nearest integer, halves away from zero, as C's round() does."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def quantise_multiplier(real: float) -> tuple[int, int]:
    """Write a requantisation multiplier as multiplier * 2^(shift - 31).

    Args:
        real: Not negative, in double precision.

    Returns:
        (multiplier, shift): multiplier in [2^30, 2^31), rounded half away from zero; (0, 0) for less than about
        2^-32, which would shift every bit out.
    """
    if real == 0.0:
        return 0, 0
    mantissa, shift = math.frexp(real)
    multiplier = round_half_away(mantissa * 2**31)
    if multiplier == 2**31:
        multiplier //= 2
        shift += 1
    if shift < -31:
        return 0, 0
    return multiplier, shift


def wrap_int32(value: Integers) -> Integers:
    """Reduce to 32 bits, two's complement."""
    return (value + 2**31) % 2**32 - 2**31


def high_mul(a: int, b: int) -> int:
    """round(a * b / 2^31), halves towards plus infinity; the one product that does not fit saturates."""
    if a == INT32_MIN and b == INT32_MIN:
        return INT32_MAX
    return (a * b + (1 << 30)) >> 31


def rounding_shift(value: Integers, exponent: int) -> Integers:
    """round(value / 2^exponent), halves away from zero; exponent in [0, 31]."""
    mask = (1 << exponent) - 1
    threshold = (mask >> 1) + (value < 0)
    return (value >> exponent) + ((value & mask) > threshold)


def saturating_shift(value: int, exponent: int) -> int:
    """Shift left by [0, 31] bits, limited to 32 bits."""
    return min(max(value << exponent, INT32_MIN), INT32_MAX)


def requantise(value: Integers, multiplier: int, shift: int) -> Integers:
    """Apply a requantisation multiplier with two roundings, as te_requantise.h does; a left shift wraps at 32 bits.

    Args:
        value: Fits int32.
        multiplier: The integer of `quantise_multiplier`, not negative.
        shift: Its shift.
    """
    shifted = wrap_int32(value << max(shift, 0))
    return rounding_shift((shifted * multiplier + (1 << 30)) >> 31, max(-shift, 0))


def clamp(value: int, low: int, high: int) -> int:
    """Limit a value to [low, high]."""
    return min(max(value, low), high)


def only_output(
    low: int, high: int, multiplier: int, shift: int, zero_point: int, limits: tuple[int, int] = (INT8_MIN, INT8_MAX)
) -> int | None:
    """The output that all accumulators from `low` to `high` have.

    Where nothing wraps, an output never falls as its accumulator grows, so both ends have it if all between them do.

    Args:
        low: The smallest accumulator.
        high: The largest.
        multiplier: As for `requantise`.
        shift: Its shift.
        zero_point: Added to every output.
        limits: To which outputs are clamped.

    Returns:
        The output; None where there are several, or where a sum on the way may wrap.
    """
    if multiplier == 0:
        return clamp(zero_point, *limits)
    if low < INT32_MIN or high > INT32_MAX:
        return None
    if low == high:
        return clamp(wrap_int32(requantise(low, multiplier, shift) + zero_point), *limits)
    if max(-low, high) << max(shift, 0) > INT32_MAX:
        return None
    least, most = (requantise(end, multiplier, shift) + zero_point for end in (low, high))
    if least < INT32_MIN or most > INT32_MAX:
        return None
    least, most = clamp(least, *limits), clamp(most, *limits)
    return least if least == most else None


# Two roundings move an output by less than two, so two outputs by less than four.
_ROUNDING = 4


def only_outputs(
    low: np.ndarray, high: np.ndarray, multipliers: np.ndarray, shifts: np.ndarray, zero_point: int
) -> list[int | None]:
    """Return `only_output` of each channel, by floating point where that tells both ends apart.

    Args:
        low: (channels) int64, the smallest accumulators.
        high: (channels) int64, the largest.
        multipliers: (channels) int64, as for `requantise`.
        shifts: (channels) int64.
        zero_point: Added to every output.
    """
    ratios = multipliers * 2.0 ** (shifts - 31)
    least, most = (np.clip(ends * ratios + zero_point, INT8_MIN, INT8_MAX) for ends in (low, high))
    found: list[int | None] = [None] * len(low)
    for channel in np.flatnonzero(most - least < _ROUNDING).tolist():
        ends = int(low[channel]), int(high[channel])
        found[channel] = only_output(*ends, int(multipliers[channel]), int(shifts[channel]), zero_point)
    return found


def _half_sum(a: int, b: int) -> int:
    total = a + b
    return (total + 1) // 2 if total >= 0 else -((1 - total) // 2)


def _exp_from_minus_quarter(a: int) -> int:
    """Exponential of a Q0 number in [-1/4, 0): the Taylor series around -1/8 up to the fourth power."""
    exp_of_centre = 1895147668  # exp(-1/8) in Q0
    one_third = 715827883
    x = a + (1 << 28)
    x2 = high_mul(x, x)
    x3 = high_mul(x2, x)
    x4 = high_mul(x2, x2)
    tail = rounding_shift(high_mul(rounding_shift(x4, 2) + x3, one_third) + x2, 1)
    return exp_of_centre + high_mul(exp_of_centre, x + tail)


# exp(-2^k) in Q0 for k = -2 ... 4: each set bit of the integer quarters multiplies one in.
_EXP_OF_MINUS_POWER_OF_TWO = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)


def exp_of_negative(value: int, integer_bits: int) -> int:
    """exp(x) for x <= 0.

    Args:
        value: x in Q`integer_bits`, not positive.
        integer_bits: At most 5.

    Returns:
        exp(x) in Q0.
    """
    if value == 0:
        return INT32_MAX
    fraction_bits = 31 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    within = (value & (quarter - 1)) - quarter
    result = _exp_from_minus_quarter(saturating_shift(within, integer_bits))
    remainder = within - value
    for exponent, factor in enumerate(_EXP_OF_MINUS_POWER_OF_TWO, start=-2):
        if integer_bits > exponent and remainder & (1 << (fraction_bits + exponent)):
            result = high_mul(result, factor)
    return result


def _two_over_one_plus(x: int) -> int:
    """2 / (1 + x) in Q2 for a Q0 number x in [0, 1], by three Newton steps."""
    half_denominator = _half_sum(x, INT32_MAX)
    one = 1 << 29
    estimate = 1515870810 + high_mul(half_denominator, -1010580540)  # 48/17 - 32/17 * d, in Q2
    for _ in range(3):
        error = one - high_mul(half_denominator, estimate)
        estimate += saturating_shift(high_mul(estimate, error), 2)
    return estimate


def reciprocal_of_one_plus(x: int) -> int:
    """1 / (1 + x) in Q0 for a Q0 number x in [0, 1]."""
    return saturating_shift(_two_over_one_plus(x), 1)


def inverse_sqrt(value: int) -> tuple[int, int]:
    """Write 1 / sqrt(value) as multiplier * 2^(shift - 31), by five Newton steps in Q3 from 1.

    Args:
        value: Not negative; 0 counts as 1.

    Returns:
        (multiplier, shift): the shift is not positive.
    """
    if value <= 1:
        return INT32_MAX, 0
    right_shift = 11
    while value >= 1 << 29:
        value //= 4
        right_shift += 1
    pairs = (31 - value.bit_length()) // 2 - 1
    right_shift -= pairs
    half = rounding_shift(value << 2 * pairs >> 1, 1)
    estimate = 1 << 28
    for _ in range(5):
        cube = saturating_shift(high_mul(high_mul(estimate, estimate), estimate), 6)
        estimate = saturating_shift(high_mul(_ONE_AND_A_HALF, estimate) - high_mul(half, cube), 3)
    estimate = high_mul(estimate, _HALF_SQRT_2)
    return (estimate, -right_shift) if right_shift >= 0 else (wrap_int32(estimate << -right_shift), 0)


_ONE_AND_A_HALF = (1 << 28) + (1 << 27)  # In Q3.
_HALF_SQRT_2 = 1518500250  # In Q0.


def logistic(value: int, integer_bits: int) -> int:
    """Logistic function in Q0 of a number in Q`integer_bits`."""
    if value == 0:
        return 1 << 30
    positive = reciprocal_of_one_plus(exp_of_negative(-abs(value), integer_bits))
    return positive if value > 0 else INT32_MAX - positive


def tanh(value: int, integer_bits: int) -> int:
    """Hyperbolic tangent in Q0 of a number in Q`integer_bits`."""
    if value == 0:
        return 0
    # The same bits with one more integer bit are twice the number.
    e = exp_of_negative(-abs(value), integer_bits + 1)
    magnitude = saturating_shift(_two_over_one_plus(e) - (1 << 29), 2)
    return magnitude if value > 0 else -magnitude


def high_mul_int16(a: int, b: int) -> int:
    """round(a * b / 2^15) of two 16-bit numbers, halves towards plus infinity; saturates."""
    if a == -(2**15) and b == -(2**15):
        return 2**15 - 1
    return (a * b + (1 << 14)) >> 15
