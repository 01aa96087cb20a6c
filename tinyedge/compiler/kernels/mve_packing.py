"""Filters in the order in which the MVE kernels read them; te_gemm_s8_mve.h and te_gemm_s16_mve.h describe it."""

from dataclasses import dataclass

import numpy as np

from tinyedge.compiler.kernels.dsp_int16 import NarrowFilters, pack_lanes
from tinyedge.ops.fields import integers, values
from tinyedge.ops.kernel_call import Fields
from tinyedge.tflite.fixed_point import ACCUMULATOR_BOUND, only_outputs

CHUNK = 16
"""Values of the depth that one instruction multiplies."""

INT16_CHUNK = 8
"""The same of int16 values."""

NO_CONSTANTS = "its sums are multiplied by 1/2 or more, or may reach 2^30"
"""Why a call keeps its kernel where there are no constants of requantisation for it."""

# Channels whose accumulators are turned into outputs together.
_LANES = 4
# Words of a stream after its weights.
_CONSTANT_WORDS = 16
# Channels of which a vector holds a pixel of a window of whole rows.
_WHOLE_LANES = 8


@dataclass(frozen=True, eq=False)
class RequantisedFilters:
    """How the accumulators of each channel become outputs, one entry a channel.

    Attributes:
        filters: (channels, depth) int8, made 0 where the output is the same whatever comes in.
        biases: Their accumulators start here: the bias less what the input's zero point adds.
        multipliers: In [0, 2^31).
        roundings: Half a unit of the right shift, and above it the output's zero point, or the only output.
        right_shifts: In [1, 31].
    """

    filters: np.ndarray
    biases: np.ndarray
    multipliers: np.ndarray
    roundings: np.ndarray
    right_shifts: np.ndarray


@dataclass(frozen=True)
class Requantisation:
    """How every sum becomes an output; see `RequantisedFilters`."""

    multiplier: int
    rounding: int
    right_shift: int


def prepare_requantisation(
    multiplier: int, shift: int, output_zero_point: int, *, largest: int
) -> Requantisation | None:
    """Work out the constants of a requantisation that all channels share.

    Args:
        multiplier: In [0, 2^31).
        shift: In [-31, 31]; with the multiplier 0 of any value.
        output_zero_point: Added to every output.
        largest: The largest sum.

    Returns:
        The constants, or None as `prepare_filters` does.
    """
    shift = left_shift_of(multiplier, shift)
    if shift > -1 or largest >= ACCUMULATOR_BOUND:
        return None
    rounding = 2 ** (-shift - 1) + output_zero_point * 2**-shift
    return Requantisation(multiplier, rounding, -shift) if abs(rounding) < ACCUMULATOR_BOUND else None


def left_shift_of(multiplier: int, shift: int) -> int:
    """Return the shift of a multiplier, which of 0 may as well be a right shift: these kernels have no other."""
    return shift if multiplier else -1


def prepare_layer(fields: Fields, filters: np.ndarray) -> RequantisedFilters | None:
    """Work out the constants of requantisation of a layer with such filters; see `prepare_filters`."""
    input_zero_point, output_zero_point = integers(fields, "input_zero_point", "output_zero_point")
    return prepare_filters(
        filters,
        None if fields["bias"] is None else values(fields, "bias"),
        values(fields, "multipliers"),
        values(fields, "shifts"),
        input_zero_point=input_zero_point,
        output_zero_point=output_zero_point,
    )


def prepare_filters(
    filters: np.ndarray,
    bias: np.ndarray | None,
    multipliers: np.ndarray,
    shifts: np.ndarray,
    *,
    input_zero_point: int,
    output_zero_point: int,
) -> RequantisedFilters | None:
    """Work out the constants of requantisation.

    Args:
        filters: (channels, depth) int8.
        bias: (channels) or None for zeros.
        multipliers: (channels), in [0, 2^31).
        shifts: (channels), in [-31, 31]: the requantisation multiplier is multiplier * 2^(shift - 31).
        input_zero_point: What a padded input is.
        output_zero_point: Added to every output.

    Returns:
        The constants, or None where the instructions would not give the reference's bits: a requantisation multiplier
        of 1/2 or more, or accumulators that may leave their range.
    """
    weights = filters.astype(np.int64)
    biases = (0 if bias is None else bias.astype(np.int64)) - input_zero_point * weights.sum(axis=1)
    reach = 128 * np.abs(weights).sum(axis=1)
    multipliers, shifts = multipliers.astype(np.int64), shifts.astype(np.int64)
    # Converters write channels of weights 0 with biases that no sum should be added to.
    constants = only_outputs(biases - reach, biases + reach, multipliers, shifts, output_zero_point)
    is_constant = np.array([value is not None for value in constants])
    if np.any(~is_constant & (np.abs(biases) + reach >= ACCUMULATOR_BOUND)):
        return None
    right = np.where(is_constant, 1, -shifts)
    zero_points = np.array([output_zero_point if value is None else value for value in constants])
    roundings = 2 ** np.maximum(right - 1, 0) + zero_points * 2 ** np.maximum(right, 0)
    if np.any(right < 1) or np.any(np.abs(roundings) >= ACCUMULATOR_BOUND):
        return None
    return RequantisedFilters(
        filters=np.where(is_constant[:, None], 0, filters).astype(np.int8),
        biases=np.where(is_constant, 0, biases),
        multipliers=np.where(is_constant, 0, multipliers),
        roundings=roundings,
        right_shifts=right,
    )


def pack_filters(prepared: RequantisedFilters, groups: int = 1) -> np.ndarray:
    """Pack filters, biases and requantisation multipliers of `te_gemm2_full_s8_mve` and its kin.

    Args:
        prepared: The channels of each group follow those of the group before.
        groups: Each is packed by itself, so that what it lacks to fours of channels is zeros.

    Returns:
        uint32 words, group by group.
    """
    return _pack_streams(prepared.filters, np.stack(_constants(prepared)), groups, CHUNK)


def narrow_filters(stream: np.ndarray, chunks: int) -> np.ndarray | None:
    """Pack the stream of `pack_filters` for weights of 4 bits, as `te_gemm2_full_s4_mve` and its kin read it.

    Args:
        stream: uint32 words; its weights have 4 bits.
        chunks: Of the depth.

    Returns:
        uint32 words, or None where a weight is -8 beside a negative one of the filter before, which no byte holds.
    """
    weight_words = chunks * _LANES * CHUNK // 4
    fours = stream.reshape(-1, weight_words + _CONSTANT_WORDS)
    weights = (
        np.ascontiguousarray(fours[:, :weight_words]).view(np.int8).reshape(len(fours), chunks, _LANES // 2, 2, CHUNK)
    )
    both = 16 * weights[..., 1, :].astype(np.int16) + weights[..., 0, :]
    if both.min(initial=0) < -128:
        return None
    words = both.astype(np.int8).reshape(len(fours), -1).view("<u4")
    narrow: np.ndarray = np.concatenate([words, fours[:, weight_words:]], axis=1).ravel()
    return narrow


def pack_int16_filters(narrow: NarrowFilters, groups: int = 1) -> np.ndarray:
    """Pack filters, biases and multipliers of `te_gemm2_s16_mve` and `te_gemm1_s16_mve`.

    Args:
        narrow: The channels of each group follow those of the group before.
        groups: As for `pack_filters`.

    Returns:
        uint32 words, group by group.
    """
    return _pack_streams(narrow.filters, np.stack([narrow.biases, narrow.multipliers]), groups, INT16_CHUNK)


def _pack_streams(filters: np.ndarray, constants: np.ndarray, groups: int, chunk: int) -> np.ndarray:
    """Pack (channels, depth) filters and (kinds, channels) constants, chunk by chunk of the depth."""
    channels, depth = filters.shape
    streams = []
    for first in range(0, channels, channels // groups):
        members = slice(first, first + channels // groups)
        lanes = -(channels // groups) % _LANES
        padded = np.pad(filters[members], ((0, lanes), (0, -depth % chunk)))
        ends = np.pad(constants[:, members], ((0, 0), (0, lanes)))
        fours = len(padded) // _LANES
        weights = padded.reshape(fours, _LANES, -1, chunk).transpose(0, 2, 1, 3)  # (fours, chunks, lanes, chunk)
        words = np.ascontiguousarray(weights).view(np.uint8).reshape(fours, -1).view("<u4")
        end_words = as_words(ends).reshape(len(ends), fours, _LANES).transpose(1, 0, 2).reshape(fours, -1)
        streams.append(np.concatenate([words, end_words], axis=1).ravel())
    return np.concatenate(streams)


def pack_depthwise(prepared: RequantisedFilters, kernel: tuple[int, int]) -> np.ndarray:
    """Pack filters, biases and requantisation multipliers of `te_depthwise2_full_s8_mve` and its kin.

    Args:
        prepared: The depth is the taps, row by row.
        kernel: (height, width), up to 4 each.

    Returns:
        uint32 words, channel by channel.
    """
    taps = _by_columns(prepared, kernel).reshape(-1, 16).view("<u4")
    return _with_constants(np.pad(taps, ((0, 0), (1, 0))), prepared)


def pack_depthwise_int4(prepared: RequantisedFilters, kernel: tuple[int, int]) -> np.ndarray:
    """The same for weights from -8 to 7, as `te_depthwise2_full_s4_mve` and its kin read them."""
    halves = _by_columns(prepared, kernel).reshape(-1, 2, 8) & 15
    return _with_constants((halves[:, 0] | halves[:, 1] << 4).view("<u4"), prepared)


def _by_columns(prepared: RequantisedFilters, kernel: tuple[int, int]) -> np.ndarray:
    """(channels, 4 columns, 4 rows) taps as bytes, zeros where the filter has none."""
    channels = len(prepared.filters)
    by_columns = np.zeros((channels, 4, 4), np.int8)
    by_columns[:, : kernel[1], : kernel[0]] = prepared.filters.reshape(channels, *kernel).transpose(0, 2, 1)
    return by_columns.view(np.uint8)


def _with_constants(taps: np.ndarray, prepared: RequantisedFilters) -> np.ndarray:
    packed: np.ndarray = np.concatenate([taps, as_words(np.stack(_constants(prepared), axis=1))], axis=1).ravel()
    return packed


def pack_whole(prepared: RequantisedFilters) -> np.ndarray:
    """Pack filters, biases and requantisation multipliers of `te_depthwise_whole_s8_mve`.

    Args:
        prepared: The depth is the pixels of a window.

    Returns:
        int32 words, eight channels after eight: constants of the even ones and of the odd ones, kind by kind, and eight
        weights a pixel.
    """
    return _by_lanes(prepared, prepared.filters.view(np.uint8))


def pack_whole_int4(prepared: RequantisedFilters) -> np.ndarray:
    """The same for weights from -8 to 7, as `te_depthwise_whole_s4_mve` reads them: eight bytes for two pixels."""
    halves = np.pad(prepared.filters, ((0, 0), (0, prepared.filters.shape[1] % 2))).view(np.uint8) & 15
    return _by_lanes(prepared, halves[:, 0::2] | halves[:, 1::2] << 4)


def _by_lanes(prepared: RequantisedFilters, weights: np.ndarray) -> np.ndarray:
    """(channels, pixels) bytes of weights, or of two pixels each, behind constants."""
    channels, pixels = weights.shape
    lanes = -channels % _WHOLE_LANES
    groups = (channels + lanes) // _WHOLE_LANES
    constants = np.pad(np.stack(_constants(prepared)), ((0, 0), (0, lanes))).reshape(4, groups, _WHOLE_LANES // 2, 2)
    by_pixels = np.pad(weights, ((0, lanes), (0, 0))).reshape(groups, _WHOLE_LANES, pixels).transpose(0, 2, 1)
    words = as_words(constants.transpose(1, 0, 3, 2)).reshape(groups, -1)
    of_weights = np.ascontiguousarray(by_pixels).reshape(groups, -1).view("<u4")
    packed: np.ndarray = np.concatenate([words, of_weights], axis=1).view(np.int32).ravel()
    return packed


def pack_lane_streams(narrow: NarrowFilters, lanes: int) -> np.ndarray:
    """Pack filters, biases and multipliers of `te_depthwise_conv2d_narrow_s16_mve`.

    Args:
        narrow: The depth is the taps, row by row; of at least as many channels as lanes.
        lanes: Channels of a vector.

    Returns:
        (vectors, words) int32: what `pack_lanes` gives of a vector, then its weights tap by tap.
    """
    ends = pack_lanes(narrow.biases, narrow.multipliers, lanes)
    channels = len(narrow.biases)
    first = np.minimum(np.arange(len(ends)) * lanes, channels - lanes)
    members = first[:, None] + np.arange(lanes)
    weights = np.ascontiguousarray(narrow.filters[members].transpose(0, 2, 1))  # (vectors, taps, lanes)
    streams: np.ndarray = np.concatenate(
        [ends.reshape(len(ends), -1), weights.reshape(len(ends), -1).view("<i4")], axis=1
    )
    return streams


def _constants(prepared: RequantisedFilters) -> list[np.ndarray]:
    return [prepared.biases, prepared.multipliers, prepared.roundings, 24 - prepared.right_shifts]


def as_words(values: np.ndarray) -> np.ndarray:
    """Integers modulo 2^32."""
    words: np.ndarray = (values % 2**32).astype(np.uint32)
    return words
