"""Filters of int16 activations whose sums fit 32 bits; firmware/kernels/te_gemm_s16_dsp.h describes their streams."""

from dataclasses import dataclass

import numpy as np

from tinyedge.ops.fields import integers, values
from tinyedge.ops.kernel_call import Fields

# The largest magnitude of an int16 value.
_REACH = 2**15
_SUM_BOUND = 2**31
# Shifts with which multiplier * 2^(17 + shift) is an integer below 2^31.
_SHIFTS = (-17, -1)
# With a multiplier of 2^30, a sum of four times an output gives that output.
_QUARTER, _OF_QUARTER = 2**30, 4

SUMS_TOO_LARGE_FOR_32_BITS = "its sums may not fit 32 bits, or are multiplied by 1/2 or more, or by less than 2^-18"
"""Why a depthwise convolution of int16 values keeps its kernel."""


@dataclass(frozen=True, eq=False)
class NarrowFilters:
    """Filters whose sums fit 32 bits whatever the input, one entry a channel.

    Attributes:
        filters: (channels, depth) int8.
        biases: Their accumulators start here.
        multipliers: An output is round(sum * multiplier / 2^32), halves towards plus infinity, before it is limited.
    """

    filters: np.ndarray
    biases: np.ndarray
    multipliers: np.ndarray


def narrow_sums(
    filters: np.ndarray, bias: np.ndarray, multipliers: np.ndarray, shifts: np.ndarray, limits: tuple[int, int]
) -> NarrowFilters | None:
    """Work out the constants of sums of 32 bits that stand for those of 64.

    Args:
        filters: (channels, depth) int8.
        bias: (channels) int64.
        multipliers: (channels), in [0, 2^15).
        shifts: (channels), in [-31, 7]: an output is round(sum * multiplier * 2^(shift - 15)).
        limits: Of the outputs.

    Returns:
        The constants, or None where a sum may not fit or a shift has no multiplier of 31 bits.
    """
    filters, bias = filters.copy(), bias.astype(np.int64)
    multipliers, shifts = multipliers.astype(np.int64), shifts.astype(np.int64)
    reach = _REACH * np.abs(filters.astype(np.int64)).sum(axis=1)
    # Dead channels have huge biases on tiny scales: an output that is constant anyway gets harmless constants.
    ends = [_rescaled(bias + end, multipliers, shifts) for end in (-reach, reach)]
    low, high = (np.clip(end, limits[0], limits[1]) for end in ends)
    constant = (low == high) & (np.abs(ends) < _SUM_BOUND).all(axis=0)
    filters[constant], reach[constant] = 0, 0
    bias = np.where(constant, _OF_QUARTER * low, bias)
    in_range = (shifts >= _SHIFTS[0]) & (shifts <= _SHIFTS[1])
    if np.any(~constant & ~in_range) or np.any(np.abs(bias) + reach >= _SUM_BOUND):
        return None
    scaled = multipliers << np.where(in_range, shifts - _SHIFTS[0], 0)
    return NarrowFilters(filters, bias, np.where(constant, _QUARTER, scaled))


def pack_int16_filters(narrow: NarrowFilters, groups: int) -> np.ndarray:
    """Pack filters, biases and multipliers as `te_gemm_s16_dsp` reads them.

    Args:
        narrow: The channels of each group follow those of the group before.
        groups: Each is packed by itself, so that an odd number of channels in it ends with a channel of zeros.

    Returns:
        uint32 words, group by group.
    """
    channels, depth = narrow.filters.shape
    members = channels // groups
    padded = np.pad(narrow.filters.reshape(groups, members, depth), ((0, 0), (0, members % 2), (0, depth % 2))).reshape(
        -1, 2, (depth + 1) // 2, 2
    )
    steps = np.ascontiguousarray(padded.transpose(0, 2, 3, 1))  # (pairs, steps, value, channel)
    ends = [
        np.pad(part.reshape(groups, members), ((0, 0), (0, members % 2))).reshape(-1, 2)
        for part in (narrow.biases, narrow.multipliers)
    ]
    biases, multipliers = ((part % 2**32).astype(np.uint32) for part in ends)
    stream: np.ndarray = np.concatenate(
        [biases, steps.reshape(len(biases), -1).view("<u4"), multipliers], axis=1
    ).ravel()
    return stream


def pack_lanes(biases: np.ndarray, multipliers: np.ndarray, lanes: int) -> np.ndarray:
    """Pack what vectors of some channels start and end with, those of even channels first.

    Args:
        biases: (channels), at least as many as lanes.
        multipliers: (channels).
        lanes: Channels of a vector; the last vector has the last channels, of which some may be in the one before.

    Returns:
        (vectors, 4, lanes / 2) int32: even biases, odd ones, even multipliers, odd ones.
    """
    channels = len(biases)
    starts = [*range(0, channels - lanes, lanes), channels - lanes]
    parts = [
        part[start + odd : start + lanes : 2] for start in starts for part in (biases, multipliers) for odd in (0, 1)
    ]
    return np.array(parts, dtype=np.int32).reshape(len(starts), 4, lanes // 2)


def _rescaled(sums: np.ndarray, multipliers: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    rescaled: np.ndarray = (sums * multipliers + (1 << (14 - shifts))) >> (15 - shifts)
    return rescaled


def narrow_form(fields: Fields, filters: np.ndarray) -> NarrowFilters | None:
    """Return filters (channels, depth) of int16 values with sums of 32 bits; None where these may not fit."""
    bias = fields["bias"]
    output_min, output_max = integers(fields, "output_min", "output_max")
    return narrow_sums(
        filters,
        np.zeros(len(filters), np.int64) if bias is None else values(fields, "bias"),
        values(fields, "multipliers"),
        values(fields, "shifts"),
        (output_min, output_max),
    )
