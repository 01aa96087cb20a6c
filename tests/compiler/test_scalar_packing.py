"""What the scalar kernels read, taken apart word by word, gives the values of the operator that was packed."""

import itertools

import numpy as np
import pytest

from tinyedge.compiler.kernels.mve_packing import RequantisedFilters, prepare_filters
from tinyedge.compiler.kernels.scalar_packing import (
    pack_scalar,
    pack_scalar_int4,
    pack_scalar_rows_int4,
    pack_scalar_taps_int4,
)
from tinyedge.tflite.fixed_point import clamp, requantise

ZERO_POINT = -7


def kernel_output(total: int, multiplier: int, shift: int, zero_point: int = ZERO_POINT) -> int:
    """The arithmetic of te_output_scalar()."""
    product = (total * multiplier + 2**30) >> 31
    product -= product < 0
    return clamp(((product >> shift) + 2 * zero_point + 1) >> 1, -128, 127)


def prepare(filters, bias, multipliers, shifts, input_zero_point=3) -> RequantisedFilters:
    prepared = prepare_filters(
        np.array(filters, np.int8),
        np.array(bias, np.int32),
        np.array(multipliers, np.int32),
        np.array(shifts, np.int8),
        input_zero_point=input_zero_point,
        output_zero_point=ZERO_POINT,
    )
    assert prepared is not None
    return prepared


@pytest.mark.parametrize("zero_point", [-128, 0, 127])
def test_halving_last_rounds_as_the_reference_does(zero_point):
    rng = np.random.default_rng(1)
    ties = 0
    for shift, multiplier in itertools.product(range(-31, 0), (2**30, 2**31 - 1, int(rng.integers(2**30, 2**31)))):
        near = rng.integers(-300, 300, 40) * 2**-shift  # About halves of an output with the multiplier 1/2.
        totals = [*rng.integers(-(2**29), 2**29, 40), *(near + rng.integers(-2, 3, 40)), *near, 0, 1, -1]
        for total in map(int, totals):
            if abs(total) >= 2**30:
                continue
            exact = clamp(requantise(total, multiplier, shift) + zero_point, -128, 127)
            assert kernel_output(total, multiplier, -shift - 1, zero_point) == exact
            ties += multiplier == 2**30 and total < 0 and (total >> 1) % 2**-shift == 2 ** (-shift - 1)
    assert ties > 100  # Negative halves, which go away from zero.


def nibbles(words: np.ndarray) -> np.ndarray:
    """The weights of words of te_gemm_s4_scalar.h."""
    halves = words[:, None] >> np.arange(0, 32, 4, dtype=np.uint32) & 15
    return halves.ravel().astype(np.int64) - 16 * (halves.ravel() > 7)


@pytest.mark.parametrize("is_int4", [False, True])
@pytest.mark.parametrize(("channels", "depth"), [(1, 1), (4, 16), (7, 27)])
def test_a_stream_holds_the_matrix_product(channels, depth, is_int4):
    rng = np.random.default_rng(channels)
    filters = rng.integers(*((-8, 8) if is_int4 else (-128, 128)), (channels, depth)).astype(np.int8)
    bias = rng.integers(-5000, 5000, channels)
    multipliers, shifts = rng.integers(2**30, 2**31, channels), rng.integers(-12, 0, channels)
    pack, per_word = (pack_scalar_int4, 8) if is_int4 else (pack_scalar, 4)
    packed = pack(prepare(filters, bias, multipliers, shifts), ZERO_POINT)
    words = -(-depth // per_word)
    pixel = rng.integers(-128, 128, per_word * words)  # What is beyond the depth does not matter.
    for channel, stream in enumerate(packed.stream.reshape(channels, words + 2)):
        weights = nibbles(stream[:words]) if is_int4 else stream[:words].view(np.int8).astype(np.int64)
        first, multiplier = stream[words:].view(np.int32).tolist()
        exact = int(filters[channel].astype(np.int64) @ (pixel[:depth] - 3) + bias[channel])
        assert int(weights @ pixel) + first == exact
        expected = clamp(requantise(exact, int(multipliers[channel]), int(shifts[channel])) + ZERO_POINT, -128, 127)
        assert kernel_output(exact, multiplier, int(packed.shifts[channel])) == expected


@pytest.mark.parametrize(("channels", "depth"), [(1, 1), (4, 2), (7, 9)])
def test_a_word_of_a_row_holds_two_depths_of_four_outputs(channels, depth):
    rng = np.random.default_rng(channels)
    filters = rng.integers(-8, 8, (channels, depth)).astype(np.int8)
    prepared = prepare(filters, rng.integers(-99, 99, channels), [2**30] * channels, [-7] * channels)
    words = -(-depth // 2)
    fours = pack_scalar_rows_int4(prepared, ZERO_POINT).stream.reshape(-1, words + 8)
    for channel in range(channels):
        stream, member = fours[channel // 4], channel % 4
        place = 4 * (member // 2) + 16 * (member % 2)
        weights = (stream[:words, None] >> np.array([place, place + 8], np.uint32) & 15).astype(int).ravel() - 8
        assert weights[:depth].tolist() == filters[channel].tolist()
        assert stream[words:].view(np.int32)[[member, member + 4]].tolist() == [prepared.biases[channel], 2**30]


@pytest.mark.parametrize("taps", [1, 8, 9, 25])
def test_words_of_depthwise_weights_hold_fours_in_the_halves_of_their_bytes(taps):
    rng = np.random.default_rng(taps)
    filters = rng.integers(-8, 8, (3, taps)).astype(np.int8)
    packed = pack_scalar_taps_int4(prepare(filters, [0] * 3, [2**30] * 3, [-7] * 3), ZERO_POINT)
    words = -(-taps // 8)
    for channel, stream in enumerate(packed.stream.reshape(3, words + 2)):
        both = stream[:words].view(np.int8).reshape(words, 1, 4)
        weights = np.concatenate([(both << 4) >> 4, both >> 4], axis=1).ravel()
        assert weights[:taps].tolist() == filters[channel].tolist()
        assert not weights[taps:].any()


def test_channels_of_one_output_need_no_sum():
    """A filter of zeros with any bias, a multiplier that shifts all out, a multiplier of 0."""
    filters, bias = [[0, 0], [1, -1], [100, 100]], [-(2**30) - 64, 2**20, 20_000]
    multipliers, shifts = [1_320_764_593, 2**30, 0], [-27, -31, 0]
    packed = pack_scalar(prepare(filters, bias, multipliers, shifts), ZERO_POINT)
    for channel, stream in enumerate(packed.stream.reshape(3, 3)):
        assert stream[0] == 0
        first, multiplier = stream[1:].view(np.int32).tolist()
        expected = requantise(bias[channel] if channel == 0 else 0, multipliers[channel], shifts[channel])
        assert kernel_output(first, multiplier, int(packed.shifts[channel])) == clamp(expected + ZERO_POINT, -128, 127)


def test_two_products_in_one_stay_apart():
    """The fields of te_gemm_s8_scalar.h at the ends of their range, for every choice of extreme values and weights."""
    ends = (-128, -1, 0, 127)
    for a, b, c, d, u, v in itertools.product(ends, repeat=6):
        both = ((a + (b << 16)) * u + (c + (d << 16)) * v) % 2**32
        upper = ((both + 0x7F007F00) % 2**32 >> 16) - 32512
        lower = (both - (upper << 16)) % 2**32
        assert upper == b * u + d * v
        assert lower == (a * u + c * v) % 2**32
