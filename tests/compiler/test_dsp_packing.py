"""What the DSP kernels are given: filters in their order, and constants that end in the reference's bits."""

import dataclasses

import numpy as np
import pytest

from tinyedge.compiler.kernels.dsp_packing import (
    pack_depthwise3,
    pack_filters,
    pack_row,
    pack_taps,
    pack_whole,
    pack_winograd,
    prepare_filters,
    prepare_requantisation,
)
from tinyedge.tflite.fixed_point import clamp, requantise

INPUT_ZERO_POINT, OUTPUT_ZERO_POINT = -7, 19


def prepared_filters(filters, bias=None, multipliers=None, shifts=None, full_range=True):
    channels = len(filters)
    return prepare_filters(
        filters,
        np.arange(channels) * 1000 - 500 if bias is None else np.asarray(bias),
        np.full(channels, 2**30 + 12345) if multipliers is None else np.asarray(multipliers),
        np.full(channels, -6) if shifts is None else np.asarray(shifts),
        input_zero_point=INPUT_ZERO_POINT,
        output_zero_point=OUTPUT_ZERO_POINT,
        full_range=full_range,
    )


def signed(word: int) -> int:
    return (int(word) + 2**31) % 2**32 - 2**31


def byte(word: int, index: int) -> int:
    return (int(word) >> 8 * index & 0xFF) - 2 * (int(word) >> 8 * index & 0x80)


def finish(prepared, channel: int, sum_: int) -> int:
    """As the instructions: SMMLAR, an addition of the sign, an addition, a shift; without the clamp."""
    right, zero_point = int(prepared.right_shifts[channel]), OUTPUT_ZERO_POINT
    sum_ <<= int(prepared.left_shifts[channel])
    sum_ += (sum_ * int(prepared.multipliers[channel]) + 2**31) >> 32
    half = 1 << right >> 1
    rounding = half + (zero_point << right) if prepared.plain else half
    assert -(2**31) <= sum_ + rounding < 2**31
    result = (sum_ + (-1 if sum_ < 0 and right else 0) + rounding) >> right
    return result if prepared.plain else result + zero_point


def finish_quickly(prepared, channel: int, sum_: int, zero_point: int) -> int:
    """As the instructions of a quick layer: SMMLAR twice; without the clamp."""
    largest, right = int(prepared.right_shifts.max()), int(prepared.right_shifts[channel])
    factor = ((1 << (32 - largest)) + (zero_point != -128)) << (largest - right)
    assert factor < 2**31
    sum_ += (sum_ * int(prepared.multipliers[channel]) + 2**31) >> 32
    return zero_point + ((sum_ * factor + 2**31) >> 32)


def random_filters(rng, channels, depth):
    return rng.integers(-127, 128, (channels, depth)).astype(np.int8)


@pytest.mark.parametrize(("channels", "depth", "groups"), [(4, 8, 1), (5, 9, 1), (6, 3, 2), (1, 1, 1)])
@pytest.mark.parametrize("form", ["general", "plain", "quick"])
def test_streams_hold_every_weight_bias_and_requantisation_multiplier(channels, depth, groups, form):
    rng = np.random.default_rng(0)
    filters = random_filters(rng, channels, depth)
    shifts = [-7, *[-6 if form == "quick" else -1] * (channels - 1)] if form == "quick" or channels > 1 else [-1]
    plain, quick = form != "general", form == "quick"
    prepared = prepared_filters(filters, np.arange(channels) * 100 - 50, shifts=shifts, full_range=plain)
    packed = pack_filters(prepared, groups)
    assert packed.plain == {"general": 0, "plain": 1, "quick": 7}[form]
    assert packed.words == -(-depth // 4)
    words = iter(packed.stream.tolist())
    for group in np.split(np.arange(channels), groups):
        for first in group[::2]:
            pair = [channel if channel in group else None for channel in (first, first + 1)]
            biases = [signed(next(words)) for _ in pair]
            for bias, channel in zip(biases, pair, strict=True):
                assert bias >> 8 * plain == (0 if channel is None else prepared.biases[channel])
            found = np.zeros((2, 4 * packed.words), int)
            for four in range(packed.words):
                for order in ((0, 2), (1, 3)):
                    word = next(words)
                    for half in range(2):
                        weights = [byte(word, 2 * half + member) for member in range(2)]
                        # In a quick stream the half is the second weight times 256, and the first.
                        weights[1] += quick and weights[0] < 0
                        found[:, 4 * four + order[half]] = weights
            multipliers = [signed(next(words)) for _ in pair]
            shifts = 0 if plain else next(words)
            for member, channel in enumerate(pair):
                expected = np.zeros(depth, int) if channel is None else filters[channel]
                np.testing.assert_array_equal(found[member, :depth], expected)
                assert not found[member, depth:].any()
                if channel is not None:
                    assert multipliers[member] == prepared.multipliers[channel]
                    right = biases[member] & 0xFF if plain else byte(shifts, member)
                    assert (7 - right if quick else right + plain) == prepared.right_shifts[channel]
                    assert byte(shifts, 2 + member) == prepared.left_shifts[channel]
    assert next(words, None) is None


@pytest.mark.parametrize("zero_point", [-128, -3, 127])
def test_products_round_as_shifts_do_where_a_stream_is_quick(zero_point):
    rng = np.random.default_rng(7)
    found = 0
    for _ in range(300):
        shifts = -rng.integers(1, 17, 2)
        multipliers, filters = rng.integers(2**30, 2**31, 2), random_filters(rng, 2, int(rng.integers(1, 200)))
        biases = rng.integers(-(2**16), 2**16, 2)
        prepared = prepare_filters(
            filters, biases, multipliers, shifts, input_zero_point=0, output_zero_point=zero_point, full_range=True
        )
        if not prepared.quick:
            assert shifts.max() == -1 or (zero_point != -128 and shifts.min() < -12)
            continue
        for channel in range(2):
            reach = 128 * int(np.abs(prepared.filters[channel].astype(int)).sum()) + 1
            multiplier, shift = int(prepared.multipliers[channel] + 2**32) // 2, -int(prepared.right_shifts[channel])
            # Any sum, and those whose product is next to a half.
            halves = (2 * rng.integers(-130, 131, 60) + 1) * 2.0 ** (30 - shift) / multiplier
            near = np.rint(halves).astype(int)[:, None] + np.arange(-1, 2)
            sums = np.concatenate([rng.integers(-reach, reach, 60) + int(prepared.biases[channel]), near.ravel()])
            for sum_ in sums[np.abs(sums) < reach + abs(int(prepared.biases[channel]))].tolist():
                expected = requantise(sum_, multiplier, shift) + zero_point
                made = finish_quickly(prepared, channel, sum_, zero_point)
                assert clamp(made, -128, 127) == clamp(expected, -128, 127)
        found += 1
    assert found > 100


@pytest.mark.parametrize(
    ("first", "second", "depth", "bias", "plain"),
    [
        (-128, -127, 1, 0, 2),
        (0, -128, 1, 0, 2),
        (-1, -128, 1, 0, 1),  # Less than an int16.
        (1, 127, 516, 2**23 - 1 - 516 * 127 * 128, 12),
        (1, 127, 516, 2**23 - 516 * 127 * 128, 1),
    ],
)
def test_weights_that_make_no_int16_and_sums_beyond_24_bits_are_not_quick(first, second, depth, bias, plain):
    filters = np.repeat(np.array([[first], [second]], np.int8), depth, axis=1)
    biases = np.array([0, bias + INPUT_ZERO_POINT * second * depth])
    packed = pack_filters(prepared_filters(filters, biases, shifts=[-2, -2 if depth == 1 else -12]), 1)
    assert packed.plain == plain


@pytest.mark.parametrize(("bias", "plain"), [(2**23 - 1, True), (1 - 2**23, True), (2**23, False), (-(2**23), False)])
def test_large_biases_are_not_beside_their_shifts(bias, plain):
    prepared = prepared_filters(
        np.array([[0, 0], [1, 0]], np.int8), bias=[0, bias + INPUT_ZERO_POINT], shifts=[-1, -23]
    )
    packed = pack_filters(prepared, 1)
    assert prepared.plain
    assert packed.plain == plain
    assert signed(packed.stream[1]) >> 8 * plain == bias
    assert packed.stream[1] & 0xFF == 22 if plain else packed.stream[-1] >> 8 == 23


@pytest.mark.parametrize(
    ("bias", "shifts"),
    [
        (0, [-1, -7, -14]),
        *((bias, [-12, -13, -15]) for bias in (2**18 - 1, 1 - 2**18, 2**18, -(2**18))),
        (2**29, [-29, -29, -29]),
    ],
)
def test_three_by_three_words_hold_every_weight_bias_and_requantisation_multiplier(bias, shifts):
    filters = random_filters(np.random.default_rng(1), 3, 9)
    filters[:, -1] = -128, 127, -1
    biases = bias + INPUT_ZERO_POINT * filters.astype(int).sum(axis=1)
    prepared = prepared_filters(filters, biases, shifts=shifts)
    packed = pack_depthwise3(prepared)
    narrow = abs(bias) < 2**18
    assert packed.shape == (3, 4 if narrow else 5)
    for channel, (row, weights) in enumerate(zip(packed, filters, strict=True)):
        assert [byte(row[tap // 4], tap % 4) for tap in range(9)] == weights.tolist()
        assert row[2] >> 8 & 0x1F == prepared.right_shifts[channel]
        assert signed(row[3]) == prepared.multipliers[channel]
        assert (signed(row[2]) >> 13 if narrow else signed(row[4])) == bias


@pytest.mark.parametrize(("rows", "taps"), [(1, 9), (3, 3), (2, 4), (5, 1)])
def test_taps_lie_in_fours_of_which_the_middle_two_are_exchanged(rows, taps):
    filters = random_filters(np.random.default_rng(1), 3, rows * taps)
    prepared = prepared_filters(filters, bias=[0, 0, 0], shifts=[-6, 0, 3])
    prepared = dataclasses.replace(prepared, filters=filters)
    fours = -(-taps // 4)
    packed = pack_taps(prepared, rows, taps)
    assert packed.shape == (3, 3 + rows * fours)
    for row, weights in zip(packed, filters, strict=True):
        for line in range(rows):
            found = [byte(row[3 + line * fours + tap // 4], [0, 2, 1, 3][tap % 4]) for tap in range(4 * fours)]
            assert found == [*weights[line * taps : (line + 1) * taps].tolist(), *[0] * (4 * fours - taps)]
    assert [signed(row[1]) for row in packed] == prepared.multipliers.tolist()
    assert [[byte(row[2], 0), byte(row[2], 1)] for row in packed] == [[6, 0], [0, 0], [0, 3]]


@pytest.mark.parametrize("pixels", [1, 2, 5])
def test_words_of_whole_rows_hold_twice_every_weight_and_bias(pixels):
    filters = random_filters(np.random.default_rng(1), 8, pixels)
    filters[0, 0], filters[1, 0] = -128, 127
    prepared = prepared_filters(filters, bias=[2**29 - 2**17] * 8, shifts=[-1, -2, -3, -4, -20, -21, -22, -23])
    packed = pack_whole(prepared, OUTPUT_ZERO_POINT)
    pairs = -(-pixels // 2)
    assert packed.shape == (2, 4 + 4 * pairs + 9)
    for channel in range(8):
        row, lane = packed[channel // 4], channel % 4
        assert signed(row[lane]) == 2 * prepared.biases[channel]
        taps = row[4 + lane : 4 + 4 * pairs : 4].astype("<u4").view("<i2")
        assert taps.tolist() == [*(2 * prepared.filters[channel].astype(int)).tolist(), *[0] * (2 * pairs - pixels)]
        multiplier, rounding = (signed(row[4 + 4 * pairs + 4 * part + lane]) for part in range(2))
        right_shift = byte(row[-1], lane)
        assert right_shift == prepared.right_shifts[channel]
        for sum_ in (*range(-3, 4), -(2**30) + 1, 2**30 - 1, 123_456_789, -123_456_789):
            product = (2 * sum_ * multiplier + 2**31) >> 32
            found = (product + rounding - (sum_ < 0)) >> right_shift
            assert found == finish(prepared, channel, sum_)


@pytest.mark.parametrize("full_range", [True, False])
def test_constants_give_the_references_bits(full_range):
    rng = np.random.default_rng(2)
    channels = 400
    multipliers = rng.integers(2**30, 2**31, channels)
    multipliers[:2] = 2**30, 2**31 - 1
    shifts = rng.integers(-31, 1 if full_range else 4, channels)
    bias = rng.integers(-(2**20), 2**20, channels)
    filters = random_filters(rng, channels, 5)
    prepared = prepared_filters(filters, bias, multipliers, shifts, full_range)
    assert prepared is not None
    for channel in range(channels):
        for values in (rng.integers(-128, 128, 5), np.full(5, -128), np.full(5, 127)):
            reference = int(bias[channel] + filters[channel].astype(int) @ (values - INPUT_ZERO_POINT))
            expected = requantise(reference, int(multipliers[channel]), int(shifts[channel])) + OUTPUT_ZERO_POINT
            sum_ = int(prepared.biases[channel] + prepared.filters[channel].astype(int) @ values)
            got = finish(prepared, channel, sum_)
            assert clamp(got, -128, 127) == clamp(expected, -128, 127)


def test_halves_are_rounded_away_from_zero():
    prepared = prepared_filters(np.array([[1]], np.int8), bias=[INPUT_ZERO_POINT], multipliers=[2**30], shifts=[-2])
    sums = [-20, -12, -4, 4, 12, 20]  # Times 1/8.
    assert [finish(prepared, 0, value) - OUTPUT_ZERO_POINT for value in sums] == [-3, -2, -1, 1, 2, 3]


@pytest.mark.parametrize(
    ("bias", "multiplier", "shift"), [(2**30 + 128, 1569364972, -26), (77, 0, 0), (-(2**31), 2**30, -31)]
)
@pytest.mark.parametrize("full_range", [True, False])
def test_pruned_channels_keep_their_constant(bias, multiplier, shift, full_range):
    weights = np.array([[0, 0]] if multiplier else [[3, -4]], np.int8)
    prepared = prepared_filters(weights, [bias], [multiplier], [shift], full_range)
    assert not prepared.filters.any()
    expected = clamp(requantise(bias, multiplier, shift) + OUTPUT_ZERO_POINT, -128, 127)
    assert clamp(finish(prepared, 0, int(prepared.biases[0])), -128, 127) == expected


@pytest.mark.parametrize("bias", [-(2**30), 2**30, -(2**31) + 2000, 2**31 - 2000])
@pytest.mark.parametrize("full_range", [True, False])
def test_channels_that_no_input_takes_off_a_limit_keep_it(bias, full_range):
    weights = np.array([[3, -4], [5, 6]], np.int8)
    prepared = prepared_filters(weights, [bias, 7], full_range=full_range)
    assert not prepared.filters[0].any()
    np.testing.assert_array_equal(prepared.filters[1], weights[1])
    assert clamp(finish(prepared, 0, int(prepared.biases[0])), -128, 127) == (127 if bias > 0 else -128)


def test_sums_that_may_overflow_are_left_to_the_portable_kernels():
    weights = np.array([[1]], np.int8)
    between = {"bias": [2**30 + 2**23], "multipliers": [2**30], "shifts": [-23]}  # Of 64 and 65.
    assert prepared_filters(weights, **between) is None
    assert prepared_filters(weights, bias=[2**20], shifts=[11]) is None
    assert prepared_filters(weights, bias=[2**20], shifts=[9]) is not None
    assert prepare_requantisation(2**30, 0, 0, largest=2**30) is None
    assert prepare_requantisation(0, 0, 0, largest=1) is None
    assert prepared_filters(weights, multipliers=[2**30 - 1]) is None


def test_multipliers_of_a_half_and_more_are_not_plain():
    weights = np.array([[1], [1]], np.int8)
    assert prepared_filters(weights, bias=[0, 0], shifts=[-1, -1]).plain
    assert not prepared_filters(weights, bias=[0, 0], shifts=[-1, 0]).plain


def test_winograd_filters_are_transformed_exactly():
    rng = np.random.default_rng(4)
    channels, depth = 4, 8
    filters = random_filters(rng, channels, 9 * depth)
    filters[0], filters[1] = 127, -127
    prepared = prepared_filters(filters)
    packed = pack_winograd(prepared, OUTPUT_ZERO_POINT)
    rows = np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]])
    for pair, words in enumerate(packed):
        halves = words[: 16 * depth].copy().view("<i2").reshape(4, 4, depth // 4, 2, 2, 2)
        for member in range(2):
            kernel = filters[2 * pair + member].reshape(3, 3, depth).astype(int)
            for channel in range(depth):
                four, within = divmod(channel, 4)
                expected = rows @ kernel[..., channel] @ rows.T
                assert (halves[:, :, four, within % 2, member, within // 2] == expected).all()
            bias, multiplier, rounding, shift = map(signed, words[16 * depth + 4 * member :][:4])
            channel = 2 * pair + member
            assert bias == prepared.biases[channel]
            for sum_ in (-(2**20), -77, 0, 12345, 2**20):
                rounded = sum_ + (sum_ * multiplier + 2**31 >> 32)
                assert (rounded - (rounded < 0) + rounding) >> shift == finish(prepared, channel, sum_)


def test_winograd_sums_of_extreme_values_are_those_of_the_convolution():
    """Operands fit int16, and four times the sum comes out modulo 2^32."""
    rng = np.random.default_rng(5)
    depth = 512
    patches = rng.choice([-128, 127], (64, 4, 4, depth))
    filters = rng.choice([-127, 127], (64, 3, 3, depth))
    filters[0], patches[0] = 127, -128
    back = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
    gather = np.array([[1, 1, 1, 0], [0, 1, -1, -1]])
    rows = np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]])
    v = np.einsum("ai,nijc,bj->nabc", back, patches, back)
    u = np.einsum("ai,nijc,bj->nabc", rows, filters, rows)
    assert max(np.abs(v).max(), np.abs(u).max()) < 2**15
    sums = (u * v).sum(-1).astype(np.int32)  # Modulo 2^32.
    tiles = np.einsum("ai,nij,bj->nab", gather, sums, gather).astype(np.int32)
    for y in range(2):
        for x in range(2):
            direct = (patches[:, y : y + 3, x : x + 3] * filters).sum((1, 2, 3))
            assert (tiles[:, y, x] == 4 * direct).all()


@pytest.mark.parametrize(("channels", "depth"), [(8, 4), (17, 10), (30, 7)])
def test_rows_of_eight_channels_hold_what_pairs_do(channels, depth):
    filters = random_filters(np.random.default_rng(11), channels, depth)
    prepared = prepared_filters(filters, np.arange(channels) * 100 - 50, shifts=-5 - np.arange(channels) % 3)
    packed = pack_filters(prepared, 1)
    assert packed.plain == 7
    words, eights = packed.words, channels // 8
    stream = pack_row(packed.stream, words, channels)
    rows = stream[: eights * (18 + 8 * words)].reshape(eights, -1)
    rest = (channels % 8 + 1) // 2
    np.testing.assert_array_equal(stream[rows.size :], packed.stream[packed.stream.size - rest * (4 + 2 * words) :])
    pairs = packed.stream.reshape(-1, 4 + 2 * words)
    for channel in range(8 * eights):
        eight, pair, member = channel // 8, channel % 8 // 2, channel % 2
        less, sums = signed(rows[eight, pair]), signed(rows[eight, 4 + pair])
        # Of each two steps the first channel's weights are multiplied with each other, too.
        steps = pairs[channel // 2, 2 : 2 + 2 * words].copy().view(np.int8).reshape(words, 2, 4)[..., ::2].astype(int)
        first = less + int((steps[:, 0] * steps[:, 1]).sum())
        assert (first, (sums - first) >> 8)[member] == prepared.biases[channel]
        for step in range(2 * words):
            place = 8 + 8 * (step // 2) + 2 * pair + step % 2
            assert rows[eight, place] == pairs[channel // 2, 2 + step]
        requantisation = rows[eight, 8 + 8 * words + 5 * member :]
        assert int(requantisation[0]) >> 8 * pair & 0xFF == 7 - prepared.right_shifts[channel]
        assert signed(requantisation[1 + pair]) == prepared.multipliers[channel]
