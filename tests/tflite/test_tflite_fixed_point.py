import math
from fractions import Fraction

import numpy as np
import pytest

from tinyedge.tflite.fixed_point import (
    INT32_MAX,
    INT32_MIN,
    exp_of_negative,
    high_mul,
    logistic,
    only_output,
    only_outputs,
    quantise_multiplier,
    requantise,
    round_half_away,
    rounding_shift,
    tanh,
    wrap_int32,
)


def half_away(value: Fraction) -> int:
    return int(math.copysign(math.floor(abs(value) + Fraction(1, 2)), value))


@pytest.mark.parametrize("factor", [1.0, 0.5, 0.999999999999, 2.0**-31, 3e-9, 0.1, 7.0, 1e6, 2.0**30])
def test_a_factor_is_held_to_31_bits(factor):
    multiplier, shift = quantise_multiplier(factor)
    assert 2**30 <= multiplier < 2**31
    assert multiplier * 2.0 ** (shift - 31) == pytest.approx(factor, rel=2**-31)


def test_factors_that_shift_every_bit_out_are_zero():
    assert quantise_multiplier(0.0) == (0, 0)
    assert quantise_multiplier(2.0**-33) == (0, 0)
    assert quantise_multiplier(2.0**-32) == (2**30, -31)


def test_a_factor_just_below_a_power_of_two_is_rounded_up_to_it():
    assert quantise_multiplier(1.0 - 2.0**-40) == (2**30, 1)


@pytest.mark.parametrize("exponent", [0, 1, 7, 30, 31])
def test_rounding_shift_rounds_halves_away_from_zero(exponent):
    rng = np.random.default_rng(exponent)
    half = (1 << exponent) >> 1
    values = [0, 1, -1, half, -half, half - 1, 1 - half, INT32_MAX, INT32_MIN]
    values += [int(value) for value in rng.integers(INT32_MIN, INT32_MAX, size=200)]
    for value in values:
        assert rounding_shift(value, exponent) == half_away(Fraction(value, 1 << exponent))


def test_high_mul_rounds_halves_up_and_saturates_once():
    assert high_mul(INT32_MIN, INT32_MIN) == INT32_MAX
    assert high_mul(1 << 30, 1) == 1
    assert high_mul(-(1 << 30), 1) == 0
    rng = np.random.default_rng(1)
    for a, b in rng.integers(INT32_MIN, INT32_MAX, size=(200, 2)).tolist():
        assert high_mul(a, b) == math.floor(Fraction(a * b, 2**31) + Fraction(1, 2))


def test_requantise_rounds_twice():
    # 5 * 0.3 = 1.5 within a bit; a shift of 2 after the product shows that the first rounding is there.
    multiplier, shift = quantise_multiplier(0.3)
    assert requantise(5, multiplier, shift) == rounding_shift(high_mul(5, multiplier), -shift)
    assert requantise(1 << 30, 1 << 30, 3) == 0  # The left shift wraps.


def reference_output(accumulator: int, multiplier: int, shift: int, zero_point: int) -> int:
    return min(max(wrap_int32(requantise(accumulator, multiplier, shift) + zero_point), -128), 127)


@pytest.mark.parametrize("shift", [-31, -24, -8, -1, 0, 3, 20])
@pytest.mark.parametrize("centre", [0, 2**23, -(2**30), 2**31 - 1000, 1000 - 2**31, -(2**31), 2**31])
def test_the_only_output_of_a_range_is_that_of_each_accumulator(shift, centre):
    rng = np.random.default_rng(shift + 31)
    for _ in range(5):
        low, high = sorted((centre + rng.integers(-300, 300, 2)).tolist())
        multiplier, zero_point = int(rng.integers(2**30, 2**31)), int(rng.integers(-128, 128))
        found = only_output(low, high, multiplier, shift, zero_point)
        every = {reference_output(wrap_int32(value), multiplier, shift, zero_point) for value in range(low, high + 1)}
        assert found is None or {found} == every
        if max(-low, high) << max(shift, 0) <= INT32_MAX - 1000:  # Nothing wraps.
            assert (found is None) == (len(every) > 1)
    assert only_output(low, high, 0, 0, zero_point) == zero_point


def test_the_only_outputs_of_channels_are_those_of_each():
    """Narrow and wide ranges, near and far, at which several outputs, one or a sum that wraps may come."""
    rng = np.random.default_rng(0)
    centres = rng.choice([0, 0, 2**12, 2**23, -(2**30), 2**31 - 1000, -(2**31), 2**40], 4000)
    low = centres + rng.integers(-300, 300, 4000)
    high = low + rng.choice([0, 1, 5, 300, 2**20], 4000)
    multipliers = rng.integers(2**30, 2**31, 4000) * (rng.random(4000) < 0.95)
    shifts, zero_point = rng.integers(-31, 21, 4000), int(rng.integers(-128, 128))
    found = only_outputs(low, high, multipliers, shifts, zero_point)
    columns = (column.tolist() for column in (low, high, multipliers, shifts))
    assert found == [only_output(*numbers, zero_point) for numbers in zip(*columns, strict=True)]
    assert 400 < sum(value is None for value in found) < 3600


def test_round_half_away():
    assert [round_half_away(value) for value in (0.5, -0.5, 1.5, -1.5, 2.4999, -2.4999)] == [1, -1, 2, -2, 2, -2]


@pytest.mark.parametrize("integer_bits", [0, 3, 4, 5])
def test_functions_are_close_to_the_real_ones(integer_bits):
    rng = np.random.default_rng(integer_bits)
    unit = 2.0 ** (31 - integer_bits)
    for raw in [1, 2, 1000, 2**30, INT32_MAX, *rng.integers(1, INT32_MAX, size=300).tolist()]:
        real = raw / unit
        assert exp_of_negative(-raw, integer_bits) / 2**31 == pytest.approx(math.exp(-real), abs=1e-6)
        assert logistic(raw, integer_bits) / 2**31 == pytest.approx(1 / (1 + math.exp(-real)), abs=1e-6)
        assert logistic(-raw, integer_bits) / 2**31 == pytest.approx(1 / (1 + math.exp(real)), abs=1e-6)
        if integer_bits < 5:
            assert tanh(raw, integer_bits) / 2**31 == pytest.approx(math.tanh(real), abs=1e-6)
            assert tanh(-raw, integer_bits) == -tanh(raw, integer_bits)


def test_functions_at_zero():
    assert exp_of_negative(0, 5) == INT32_MAX
    assert logistic(0, 4) == 1 << 30
    assert tanh(0, 4) == 0
