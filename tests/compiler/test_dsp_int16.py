"""Filters of int16 activations in sums of 32 bits: the same outputs as in 64, or none."""

import numpy as np
import pytest

from tinyedge.compiler.kernels.dsp_int16 import narrow_sums, pack_int16_filters

FULL_RANGE = (-(2**15), 2**15 - 1)
RELU = (0, 2**15 - 1)


def rescaled(sum_: int, multiplier: int, shift: int, limits: tuple[int, int]) -> int:
    """What te_requantise_s64 makes of an accumulator, in Python's integers."""
    return min(max((sum_ * multiplier + (1 << (14 - shift))) >> (15 - shift), limits[0]), limits[1])


@pytest.mark.parametrize("shift", [-17, -12, -7, -1])
@pytest.mark.parametrize("limits", [FULL_RANGE, RELU])
@pytest.mark.parametrize(("channels", "depth", "groups"), [(4, 6, 1), (5, 3, 1), (6, 7, 2), (1, 1, 1)])
def test_streams_end_in_the_outputs_of_64_bits(channels, depth, groups, limits, shift):
    rng = np.random.default_rng(channels)
    filters = rng.integers(-128, 128, (channels, depth)).astype(np.int8)
    bias, multipliers = rng.integers(-(2**28), 2**28, channels), rng.integers(2**14, 2**15, channels)
    narrow = narrow_sums(filters, bias, multipliers, np.full(channels, shift), limits)
    assert narrow is not None
    words = pack_int16_filters(narrow, groups).view(np.int32)
    members, steps = channels // groups, (depth + 1) // 2
    streams = words.reshape(groups, (members + 1) // 2, 4 + steps)
    ends = np.array([[-(2**15)] * depth, [2**15 - 1] * depth])
    inputs = np.concatenate([ends, rng.integers(-(2**15), 2**15, (20, depth))])
    for channel in range(channels):
        group, member = divmod(channel, members)
        stream, second = streams[group, member // 2], member % 2
        weights = stream[2:-2].copy().view(np.int8).reshape(steps, 2, 2)[:, :, second].ravel()[:depth].astype(int)
        for values in inputs:
            sum_ = int(stream[second]) + int(weights @ values)
            assert -(2**31) <= sum_ < 2**31
            output = min(max((sum_ * int(stream[-2 + second]) + 2**31) >> 32, limits[0]), limits[1])
            exact = int(bias[channel]) + int(filters[channel].astype(int) @ values)
            assert output == rescaled(exact, int(multipliers[channel]), shift, limits)


@pytest.mark.parametrize(
    ("bias", "shift", "limits", "output"),
    [(2**45, -1, FULL_RANGE, None), (2**40, -10, FULL_RANGE, 2**15 - 1), (-(2**30), -3, RELU, 0), (9, -31, RELU, 0)],
)
def test_a_channel_of_one_output_needs_no_sums(bias, shift, limits, output):
    """Its constants give that output; of a sum that wraps, the outputs are not told."""
    filters = np.array([[127, -128, 5]], np.int8)
    narrow = narrow_sums(filters, np.array([bias]), np.array([2**14]), np.array([shift]), limits)
    if output is None:
        assert narrow is None
    else:
        assert not narrow.filters.any()
        assert (int(narrow.biases[0]) * int(narrow.multipliers[0]) + 2**31) >> 32 == output


@pytest.mark.parametrize(
    ("depth", "bias", "shift"), [(520, 0, -12), (4, 2**31 - 2**15, -17), (4, 0, 0), (4, 0, 7), (300, 0, -18)]
)
def test_sums_that_may_not_fit_are_refused(depth, bias, shift):
    filters = np.full((1, depth), -128, np.int8)
    assert narrow_sums(filters, np.array([bias]), np.array([2**15 - 1]), np.array([shift]), FULL_RANGE) is None
