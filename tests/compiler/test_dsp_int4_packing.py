"""What the DSP kernels of INT4 weights are given: the streams of int8 ones with two weights a byte."""

import numpy as np
import pytest

from tinyedge.compiler.kernels.dsp_packing import (
    narrow_depthwise3,
    narrow_filters,
    narrow_taps,
    pack_depthwise3,
    pack_filters,
    pack_taps,
    prepare_filters,
    raise_sums,
)
from tinyedge.tflite.fixed_point import clamp, requantise

ZERO_POINT = -20


def prepared_filters(filters, bias, multipliers, shifts, full_range=True, zero_point=ZERO_POINT):
    return prepare_filters(
        filters,
        np.asarray(bias),
        np.asarray(multipliers),
        np.asarray(shifts),
        input_zero_point=0,
        output_zero_point=zero_point,
        full_range=full_range,
    )


def random_filters(rng, channels, depth):
    return rng.integers(-8, 8, (channels, depth)).astype(np.int8)


def usual(filters, full_range=True):
    channels = len(filters)
    constants = (np.arange(channels) * 100 - 50, np.full(channels, 2**30 + 9), np.full(channels, -6))
    return prepared_filters(filters, *constants, full_range)


@pytest.mark.parametrize(("channels", "depth", "groups"), [(4, 8, 1), (5, 9, 1), (6, 3, 2), (1, 1, 1)])
@pytest.mark.parametrize("full_range", [True, False])
def test_a_word_holds_two_steps_of_two_channels(channels, depth, groups, full_range):
    filters = random_filters(np.random.default_rng(depth), channels, depth)
    wide = pack_filters(usual(filters, full_range), groups)
    words, tail = wide.words, 2 if wide.plain else 3
    rows = narrow_filters(wide.stream, words, wide.plain).reshape(-1, 2 + words + tail)
    wide_rows = wide.stream.reshape(-1, 2 + 2 * words + tail)
    if wide.plain:  # Beside a bias is its shift less one, and in a quick stream the largest shift less its own.
        np.testing.assert_array_equal(rows[:, :2] >> 8, wide_rows[:, :2] >> 8)
        np.testing.assert_array_equal(rows[:, :2] + wide_rows[:, :2] & 0xFF, wide.plain - 1)
    else:
        np.testing.assert_array_equal(rows[:, :2], wide_rows[:, :2])
    np.testing.assert_array_equal(rows[:, 2 + words :], wide_rows[:, 2 + 2 * words :])
    padded = np.pad(filters.astype(int), ((0, 0), (0, 4 * words - depth)))
    in_group = channels // groups
    for channel in range(channels):
        pair, second = divmod(channel % in_group, 2)
        row = rows[channel // in_group * ((in_group + 1) // 2) + pair]
        for word in range(words):
            # Of each step the operand is a mask away: two values, each plus 8.
            for step, values in enumerate(((0, 2), (1, 3))):
                operand = int(row[2 + word]) >> (8 * step + 4 * second) & 0x000F000F
                assert [(operand & 15) - 8, (operand >> 16) - 8] == [padded[channel, 4 * word + at] for at in values]


def test_sums_beyond_2_to_the_27_are_left_to_the_portable_kernels():
    filters = np.ones((2, 4), np.int8)
    # Between two outputs, so that neither is the only one.
    below, above = (
        pack_filters(prepared_filters(filters, [bias + 2**23, 0], [2**30] * 2, [-23] * 2, full_range=False), 1)
        for bias in (2**26, 2**27)
    )
    assert narrow_filters(below.stream, below.words, below.plain) is not None
    assert narrow_filters(above.stream, above.words, above.plain) is None


@pytest.mark.parametrize(("bias", "shift"), [(100, -6), (2**20, -12)])
def test_three_by_three_words_hold_every_weight_bias_and_shift(bias, shift):
    filters = random_filters(np.random.default_rng(1), 3, 9)
    prepared = prepared_filters(filters, [bias, -5, 7], [2**30 + 9] * 3, [shift, -6, -7])
    assert prepared.filters.any(axis=1).all()
    raised = np.array([[0, 0], [3, 0], [0, 0]])
    stream = narrow_depthwise3(pack_depthwise3(prepared), raised)
    assert stream.shape[1] == (3 if bias == 100 else 4)
    for channel, row in enumerate(stream.astype(np.int64)):
        halves = [row[0] >> 4 * at & 15 for at in range(8)] + [row[1] & 15]
        assert [(half ^ 8) - 8 for half in halves] == filters[channel].tolist()
        assert row[1] >> 4 & 31 == prepared.right_shifts[channel]
        assert row[1] >> 9 & 15 == raised[channel, 0]
        word, factor = (row[1], 1) if bias == 100 else (row[3], 2 ** raised[channel, 0])
        value = (word + 2**31) % 2**32 - 2**31 >> (13 if bias == 100 else 0)
        assert value == prepared.biases[channel] * factor


@pytest.mark.parametrize(("rows", "taps"), [(1, 1), (3, 3), (5, 5), (2, 9)])
def test_a_word_of_taps_holds_two(rows, taps):
    filters = random_filters(np.random.default_rng(taps), 3, rows * taps)
    wide = pack_taps(usual(filters), rows, taps)
    narrow = narrow_taps(wide)
    np.testing.assert_array_equal(narrow[:, :3], wide[:, :3])
    halves = narrow[:, 3:].copy().view(np.uint8).reshape(3, -1, 1, 4)
    unpacked = np.concatenate([halves & 15, halves >> 4], axis=2).reshape(3, -1).astype(int) - 8
    wide_weights = wide[:, 3:].copy().view(np.int8)
    np.testing.assert_array_equal(unpacked[:, : wide_weights.shape[1]], wide_weights)


@pytest.mark.parametrize(("zero_point", "has_units"), [(-128, True), (ZERO_POINT, False)])
def test_raised_sums_give_the_references_bits(zero_point, has_units):
    rng = np.random.default_rng(3)
    found, units = 0, 0
    for _ in range(120):
        filters = random_filters(rng, 1, 9)
        multiplier, shift, bias = int(rng.integers(2**30, 2**31)), int(rng.integers(0, 3)), int(rng.integers(-999, 999))
        prepared = prepared_filters(filters, [bias], [multiplier], [shift], zero_point=zero_point)
        made = raise_sums(prepared, zero_point)
        if made is None:
            continue
        raised, ((power, unit),) = made
        assert raised.plain
        reach = 128 * int(np.abs(filters.astype(int)).sum())
        right = int(raised.right_shifts[0])
        for sum_ in range(bias - reach, bias + reach, 17):
            expected = requantise(sum_, multiplier, shift) + zero_point
            value = sum_ * 2 ** int(power) + int(unit)
            value += (value * int(raised.multipliers[0]) + 2**31) >> 32
            value = (value - (value < 0) + ((2 * zero_point + 1) << (right - 1))) >> right
            assert clamp(value, -128, 127) == clamp(expected, -128, 127)
        found += 1
        units += abs(int(unit))
    assert found > 110
    assert (units > 0) == has_units
