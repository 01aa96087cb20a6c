"""What the MVE kernels read, taken apart word by word, gives the values of the operator that was packed."""

import itertools

import numpy as np
import pytest

from tinyedge.compiler.kernels.dsp_int16 import narrow_sums
from tinyedge.compiler.kernels.mve_packing import (
    RequantisedFilters,
    pack_depthwise,
    pack_depthwise_int4,
    pack_filters,
    pack_int16_filters,
    pack_whole,
    pack_whole_int4,
    prepare_filters,
    prepare_requantisation,
)
from tinyedge.tflite.fixed_point import clamp, requantise


def kernel_output(total: int, multiplier: int, rounding: int, right_shift: int) -> int:
    """The instructions of te_gemm_s8_mve.h: VQRDMULH, the sign and the rounding added, VQSHL, the highest byte."""
    value = ((total * multiplier + 2**30) >> 31) - (total < 0) + rounding
    assert -(2**31) <= value < 2**31
    left_shift = 24 - right_shift
    shifted = value << left_shift if left_shift >= 0 else value >> -left_shift
    return clamp(shifted, -(2**31), 2**31 - 1) >> 24


def prepare(filters, bias, multipliers, shifts, input_zero_point=3, output_zero_point=-7) -> RequantisedFilters | None:
    return prepare_filters(
        np.array(filters, np.int8),
        np.array(bias, np.int32),
        np.array(multipliers, np.int32),
        np.array(shifts, np.int8),
        input_zero_point=input_zero_point,
        output_zero_point=output_zero_point,
    )


def signed(words: np.ndarray) -> np.ndarray:
    return words.view(np.int32).astype(np.int64)


@pytest.mark.parametrize("output_zero_point", [-128, 0, 127])
def test_the_instructions_round_as_the_reference_does(output_zero_point):
    rng = np.random.default_rng(1)
    ties = 0
    for shift, multiplier in itertools.product(range(-20, 0), (2**30, 2**31 - 1, int(rng.integers(2**30, 2**31)))):
        requantisation = prepare_requantisation(multiplier, shift, output_zero_point, largest=2**29)
        assert requantisation is not None
        near = rng.integers(-300, 300, 40) * 2**-shift  # About halves of an output with the multiplier 1/2.
        totals = [*rng.integers(-(2**29), 2**29, 40), *(near + rng.integers(-2, 3, 40)), *near, 0, 1, -1]
        for total in map(int, totals):
            if abs(total) >= 2**29:
                continue
            exact = requantise(total, multiplier, shift) + output_zero_point
            assert kernel_output(total, multiplier, requantisation.rounding, requantisation.right_shift) == clamp(
                exact, -128, 127
            )
            ties += multiplier == 2**30 and total < 0 and (total >> 1) % 2**-shift == 2 ** (-shift - 1)
    assert ties > 100  # Negative halves, which VRSHL alone would round the other way.


@pytest.mark.parametrize(("shift", "largest"), [(0, 100), (5, 100), (-5, 2**30), (-31, 100)])
def test_what_the_instructions_cannot_do_is_left_to_others(shift, largest):
    assert prepare_requantisation(2**30, shift, -128, largest=largest) is None


def test_channels_of_one_output_need_no_sum():
    """A filter of zeros with any bias, a multiplier that shifts all out, a multiplier of 0."""
    filters = [[0, 0], [1, -1], [100, 100], [100, 50]]
    bias = [-(2**30) - 64, 2**20, 20_000, 10]
    multipliers, shifts = [1_320_764_593, 2**30, 0, 2**30], [-27, -31, 0, -9]
    prepared = prepare(filters, bias, multipliers, shifts)
    assert prepared is not None
    for channel in range(3):
        assert not prepared.filters[channel].any()
        expected = clamp(
            requantise(bias[channel] if channel == 0 else 0, multipliers[channel], shifts[channel]) - 7, -128, 127
        )
        found = kernel_output(
            int(prepared.biases[channel]),
            int(prepared.multipliers[channel]),
            int(prepared.roundings[channel]),
            int(prepared.right_shifts[channel]),
        )
        assert found == expected
    assert prepared.filters[3].tolist() == [100, 50]
    assert prepared.biases[3] == 10 - 3 * 150


def test_a_multiplier_of_a_half_or_more_is_left_to_others():
    assert prepare([[1, 2]], [0], [2**30], [0]) is None
    assert prepare([[1, 2]], [0], [2**30], [1]) is None
    assert prepare([[1, 2]], [0], [2**30], [-1]) is not None


def test_sums_beyond_the_range_are_left_to_others():
    assert prepare([[100] * 1000], [2**30], [2**30], [-22]) is None
    assert prepare([[100] * 1000], [2**28], [2**30], [-20]) is not None


@pytest.mark.parametrize(("channels", "depth", "groups"), [(1, 1, 1), (4, 16, 1), (7, 27, 1), (6, 33, 2), (9, 50, 3)])
def test_a_stream_holds_the_matrix_product(channels, depth, groups):
    rng = np.random.default_rng(channels)
    filters = rng.integers(-128, 128, (channels, depth)).astype(np.int8)
    bias = rng.integers(-5000, 5000, channels)
    multipliers, shifts = rng.integers(2**30, 2**31, channels), rng.integers(-12, 0, channels)
    prepared = prepare(filters, bias, multipliers, shifts)
    assert prepared is not None
    packed = pack_filters(prepared, groups)
    chunks, members = -(-depth // 16), channels // groups
    pixel = rng.integers(-128, 128, 16 * chunks)  # What is beyond the depth does not matter.
    stream = packed.reshape(groups, -(-members // 4), 16 * chunks + 16)
    for channel in range(channels):
        group, member = divmod(channel, members)
        four = stream[group, member // 4]
        lane = member % 4
        weights = four[: 16 * chunks].view(np.int8).reshape(chunks, 4, 16)[:, lane].reshape(-1)
        constants = signed(four[16 * chunks :].reshape(4, 4)[:, lane].copy())
        total = int(weights.astype(np.int64) @ pixel + constants[0])
        exact = int(filters[channel].astype(np.int64) @ (pixel[:depth] - 3) + bias[channel])
        assert total == exact
        expected = clamp(requantise(exact, int(multipliers[channel]), int(shifts[channel])) - 7, -128, 127)
        assert kernel_output(total, int(constants[1]), int(constants[2]), 24 - int(constants[3])) == expected


@pytest.mark.parametrize(("channels", "depth", "groups"), [(1, 1, 1), (4, 8, 1), (7, 27, 1), (6, 17, 2), (9, 50, 3)])
def test_a_stream_of_int16_values_holds_the_matrix_product(channels, depth, groups):
    rng = np.random.default_rng(channels)
    filters = rng.integers(-128, 128, (channels, depth)).astype(np.int8)
    bias = rng.integers(-(2**28), 2**28, channels)
    multipliers, shifts = rng.integers(2**14, 2**15, channels), rng.integers(-17, 0, channels)
    narrow = narrow_sums(filters, bias, multipliers, shifts, (-(2**15), 2**15 - 1))
    assert narrow is not None
    chunks, members = -(-depth // 8), channels // groups
    pixel = rng.integers(-(2**15), 2**15, 8 * chunks)  # What is beyond the depth does not matter.
    streams = pack_int16_filters(narrow, groups).reshape(groups, -(-members // 4), 8 * chunks + 8)
    for channel in range(channels):
        group, member = divmod(channel, members)
        four, lane = streams[group, member // 4], member % 4
        weights = four[: 8 * chunks].view(np.int8).reshape(chunks, 4, 8)[:, lane].reshape(-1)
        start, multiplier = map(int, signed(four[8 * chunks :].reshape(2, 4)[:, lane].copy()))
        total = start + int(weights.astype(np.int64) @ pixel)
        exact = int(bias[channel] + filters[channel].astype(np.int64) @ pixel[:depth])
        shift = int(shifts[channel])
        expected = (exact * int(multipliers[channel]) + (1 << (14 - shift))) >> (15 - shift)
        found = (total * multiplier + 2**31) >> 32
        assert clamp(found, -(2**15), 2**15 - 1) == clamp(expected, -(2**15), 2**15 - 1)


@pytest.mark.parametrize("is_int4", [False, True])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (2, 4), (4, 1), (4, 4)])
def test_a_depthwise_stream_holds_a_window(kernel, is_int4):
    rng = np.random.default_rng(kernel[0])
    filters = rng.integers(*((-8, 8) if is_int4 else (-128, 128)), (5, kernel[0] * kernel[1])).astype(np.int8)
    prepared = prepare(filters, rng.integers(-500, 500, 5), [2**30] * 5, [-7, -8, -9, -5, -6])
    assert prepared is not None
    pack, constants = (pack_depthwise_int4, 2) if is_int4 else (pack_depthwise, 5)
    streams = pack(prepared, kernel).reshape(5, constants + 4)
    assert is_int4 or not streams[:, 0].any()
    window = rng.integers(-128, 128, (4, 4))  # (row, column)
    for channel, stream in enumerate(streams):
        taps = stream[constants - 4 : constants].view(np.int8) if not is_int4 else halves(stream[:2])
        inside = window[: kernel[0], : kernel[1]]
        of_window = taps.reshape(4, 4).T * window.astype(int)  # Taps are (column, row).
        assert np.sum(of_window) == np.sum(filters[channel].reshape(kernel).astype(int) * inside)
        assert signed(stream[constants:].copy()).tolist() == [
            prepared.biases[channel],
            prepared.multipliers[channel],
            prepared.roundings[channel],
            24 - prepared.right_shifts[channel],
        ]


def halves(words: np.ndarray) -> np.ndarray:
    """The lower halves of all bytes, then the upper ones."""
    both = words.view(np.int8)
    return np.concatenate([(both << 4) >> 4, both >> 4])


@pytest.mark.parametrize("is_int4", [False, True])
@pytest.mark.parametrize(("channels", "pixels"), [(1, 1), (8, 4), (13, 7), (16, 23)])
def test_a_stream_of_whole_rows_holds_their_windows(channels, pixels, is_int4):
    rng = np.random.default_rng(channels)
    filters = rng.integers(*((-8, 8) if is_int4 else (-128, 128)), (channels, pixels)).astype(np.int8)
    shifts = rng.integers(-4 if is_int4 else -12, 0, channels)
    prepared = prepare(filters, rng.integers(-500, 500, channels), [2**30] * channels, shifts)
    assert prepared is not None
    rows = -(-pixels // 2) if is_int4 else pixels
    streams = (pack_whole_int4 if is_int4 else pack_whole)(prepared).reshape(-1, 32 + 2 * rows)
    for channel in range(channels):
        stream, lane = streams[channel // 8], channel % 8
        weights = stream[32:].copy().view(np.int8).reshape(rows, 8)[:, lane]
        if is_int4:
            weights = halves(weights.copy()).reshape(2, rows).T.ravel()
        assert weights[:pixels].tolist() == filters[channel].tolist()
        assert stream[:32].reshape(4, 2, 4)[:, lane % 2, lane // 2].tolist() == [
            prepared.biases[channel],
            prepared.multipliers[channel],
            prepared.roundings[channel],
            24 - prepared.right_shifts[channel],
        ]
