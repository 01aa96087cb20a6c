"""Filters in the order in which the DSP kernels read them; firmware/kernels/te_gemm_s8_dsp.h describes it."""

import dataclasses
import itertools
from dataclasses import dataclass

import numpy as np

from tinyedge.compiler.kernels.convolution_forms import winograd_filters
from tinyedge.tflite.fixed_point import ACCUMULATOR_BOUND, only_outputs

# Less, doubled and less 2^32, is no int32.
_MIN_MULTIPLIER = 2**30
# A plain stream has a bias and its shift in one word, three-by-three depthwise filters in three bytes.
_PLAIN_BIAS_BITS = 24
# Then 2^(32 - right) is no int32.
_LEAST_QUICK_SHIFT = 2
# Of a quick stream, those of second channels.
_QUICK_SUM_BITS = 24
# Of te_gemm_row_s8_dsp.h, at once.
_ROW_CHANNELS = 8
# The zero point of a ReLU: the sign of what is rounded does not matter, for below it all outputs are the same.
_RECTIFIED = -128
_DEPTHWISE3_BIAS_BITS = 19
# Of weights of 4 bits, the largest product in magnitude; the second channel's sums are 16 times what they are.
_INT4_REACH = 128 * 8
_INT4_ACCUMULATOR_BOUND = 2**27
# Then 2^n times such a weight fits 16 bits.
_MAX_RAISED = 12
# Of a channel of te_taps_s8_dsp.h, before its weights.
_TAPS_REQUANTISATION_WORDS = 3
# SXTB16 takes bytes 0 and 2 of a word apart, then 1 and 3.
_STEP_ORDER = (0, 2, 1, 3)


@dataclass(frozen=True, eq=False)
class PackedFilters:
    """The streams of all pairs of channels.

    Attributes:
        stream: uint32 words, group by group.
        plain: As in te_gemm_s8_dsp.h: 0; 1 where `RequantisedFilters.plain` and the biases fit; more where it is quick.
        words: The depth in units of four values.
    """

    stream: np.ndarray
    plain: int
    words: int


@dataclass(frozen=True, eq=False)
class RequantisedFilters:
    """How the accumulators of each channel become outputs, one entry a channel.

    Attributes:
        filters: (channels, depth), those of channels with a multiplier of 0 made 0.
        biases: Their accumulators start here: the bias less what the input's zero point adds.
        multipliers: Less 2^32 when doubled, for the instruction adds the sum itself (SMMLAR).
        right_shifts: In [0, 31].
        left_shifts: All 0 where `plain`.
        plain: Whether every right shift is at least 1, no left shift is needed and the clamp range is that of 8 bits.
        quick: Whether, of a plain layer, products with 2^(32 - right) or little more round as shifts do.
    """

    filters: np.ndarray
    biases: np.ndarray
    multipliers: np.ndarray
    right_shifts: np.ndarray
    left_shifts: np.ndarray
    plain: bool
    quick: bool


@dataclass(frozen=True)
class Requantisation:
    """How accumulators become outputs where all have one requantisation multiplier; see `RequantisedFilters`."""

    multiplier: int
    rounding: int
    right_shift: int
    left_shift: int
    plain: bool


def prepare_requantisation(
    multiplier: int, shift: int, output_zero_point: int, *, largest: int
) -> Requantisation | None:
    """Work out the constants of one requantisation multiplier for outputs of the full range.

    Args:
        multiplier: 0 or in [2^30, 2^31).
        shift: In [-31, 31].
        output_zero_point: Added to every output.
        largest: No sum is larger in magnitude.

    Returns:
        The constants, or None where the instructions may not give the reference's bits.
    """
    right, left = max(-shift, 0), max(shift, 0)
    if multiplier < _MIN_MULTIPLIER or largest << left >= ACCUMULATOR_BOUND:
        return None
    half = 1 << right >> 1
    with_zero_point = half + output_zero_point * 2**right
    plain = right >= 1 and abs(with_zero_point) < ACCUMULATOR_BOUND
    # As an int32 that holds the lower 32 bits.
    return Requantisation(2 * multiplier - 2**32, with_zero_point if plain else half, right, left, plain)


def prepare_filters(
    filters: np.ndarray,
    bias: np.ndarray,
    multipliers: np.ndarray,
    shifts: np.ndarray,
    *,
    input_zero_point: int,
    output_zero_point: int,
    full_range: bool,
) -> RequantisedFilters | None:
    """Work out the constants of requantisation.

    Args:
        filters: (channels, depth) int8.
        bias: (channels).
        multipliers: (channels), 0 or in [2^30, 2^31).
        shifts: (channels), in [-31, 31]: the requantisation multiplier is multiplier * 2^(shift - 31).
        input_zero_point: What a padded input is.
        output_zero_point: Added to every output.
        full_range: Whether outputs are limited to [-128, 127].

    Returns:
        The constants, or None where a sum may leave the range in which the instructions give the reference's bits.
    """
    filters, bias = filters.copy(), bias.astype(np.int64)
    multipliers, shifts = multipliers.astype(np.int64), shifts.astype(np.int64)
    # Dead channels have huge biases on tiny scales: an output that is constant anyway gets harmless constants.
    smallest, largest = _reach(filters, bias, input_zero_point)
    for channel, output in enumerate(only_outputs(smallest, largest, multipliers, shifts, output_zero_point)):
        if output is not None:
            above = output - output_zero_point
            filters[channel], bias[channel], multipliers[channel], shifts[channel] = 0, 8 * above, 2**30, -2
    weights = filters.astype(np.int64)
    biases = bias - input_zero_point * weights.sum(axis=1)
    largest = np.abs(biases) + 128 * np.abs(weights).sum(axis=1)
    right, left = np.maximum(-shifts, 0), np.maximum(shifts, 0)
    if np.any(largest * 2.0**left >= ACCUMULATOR_BOUND) or np.any(multipliers < _MIN_MULTIPLIER):
        return None
    with_zero_point = 2 ** np.maximum(right - 1, 0) + output_zero_point * 2**right
    plain = bool(full_range and np.all(right >= 1) and np.all(np.abs(with_zero_point) < ACCUMULATOR_BOUND))
    return RequantisedFilters(
        filters=filters,
        biases=biases,
        multipliers=2 * multipliers - 2**32,
        right_shifts=right,
        left_shifts=left,
        plain=plain,
        quick=plain and _is_quick(right, largest, output_zero_point),
    )


def _is_quick(right_shifts: np.ndarray, largest: np.ndarray, output_zero_point: int) -> bool:
    """Whether factors that are up to 2^(32 - largest shift) + 1 times powers of two round halves away from zero.

    Args:
        right_shifts: (channels).
        largest: (channels), of a sum in magnitude; its product with the multiplier is smaller.
        output_zero_point: Added to every output.
    """
    if right_shifts.min() < _LEAST_QUICK_SHIFT:
        return False
    # From 2^(right + 8) on the output is limited in any case.
    reach = np.minimum(largest, 2 ** (right_shifts + 8) - 1)
    return output_zero_point == _RECTIFIED or bool(reach.max() < 2 ** (32 - int(right_shifts.max())))


def _reach(filters: np.ndarray, bias: np.ndarray, input_zero_point: int) -> tuple[np.ndarray, np.ndarray]:
    """The smallest and the largest accumulator of each channel, whatever comes in."""
    weights = filters.astype(np.int64)
    ends = weights * (-128 - input_zero_point), weights * (127 - input_zero_point)
    return bias + np.minimum(*ends).sum(axis=1), bias + np.maximum(*ends).sum(axis=1)


def pack_filters(prepared: RequantisedFilters, groups: int) -> PackedFilters:
    """Pack filters, biases and requantisation multipliers as `te_gemm_s8_dsp` reads them.

    Args:
        prepared: Of filters (channels, depth); the channels of each group follow those of the group before.
        groups: Each is packed by itself, so that an odd number of channels in it ends with a channel of zeros.
    """
    filters = prepared.filters
    channels, depth = filters.shape
    words = -(-depth // 4)
    parts = [
        _padded(filters, words),
        prepared.biases,
        prepared.multipliers,
        prepared.right_shifts,
        prepared.left_shifts,
    ]
    members = []
    for first in range(0, channels, channels // groups):
        group = [values[first : first + channels // groups] for values in parts]
        if len(group[0]) % 2:
            group = [np.concatenate([values, np.zeros_like(values[:1])]) for values in group]
        members.append(group)
    plain = int(prepared.plain and _fit(prepared.biases, _PLAIN_BIAS_BITS))
    if plain and prepared.quick and all(_joins(filters, biases) for filters, biases, *_ in members):
        plain = int(prepared.right_shifts.max())
        streams = [_quick_stream(*group[:4], largest_shift=plain) for group in members]
    else:
        streams = [(_plain_stream if plain else _general_stream)(*group) for group in members]
    return PackedFilters(np.concatenate(streams), plain, words)


def _joins(filters: np.ndarray, biases: np.ndarray) -> bool:
    """Whether each two channels' weights make an int16 value, and the second one's sums fit."""
    weights = filters.astype(np.int64)
    second = np.abs(biases[1::2]) + 128 * np.abs(weights[1::2]).sum(axis=1)
    joined = _joined(weights)
    return bool(joined.min() >= -(2**15) and joined.max() < 2**15 and _fit(second, _QUICK_SUM_BITS))


def _joined(weights: np.ndarray) -> np.ndarray:
    """Return (pairs, depth): of each two channels the first one's weights and 256 times the second's."""
    joined: np.ndarray = weights[0::2].astype(np.int64) + 256 * weights[1::2].astype(np.int64)
    return joined


def pack_rows(prepared: RequantisedFilters, kernel_h: int) -> PackedFilters:
    """Pack what `te_conv2d_rows_dsp_params` has: each row of a filter by itself, two neighbouring values a step.

    Args:
        prepared: Of filters (channels, kernel_h * values of a row).
        kernel_h: Rows of a filter.
    """
    channels = len(prepared.filters)
    rows = prepared.filters.reshape(channels, kernel_h, -1)
    steps = np.pad(rows, ((0, 0), (0, 0), (0, rows.shape[2] % 2))).reshape(channels, -1)
    by_fours = _padded(steps, -(-steps.shape[1] // 4)).reshape(channels, -1, 4)
    # pack_filters takes the middle two of four the other way round.
    filters = np.ascontiguousarray(by_fours[..., _STEP_ORDER]).reshape(channels, -1)
    return pack_filters(dataclasses.replace(prepared, filters=filters), 1)


def pack_depthwise3(prepared: RequantisedFilters) -> np.ndarray:
    """Pack what `te_depthwise_conv2d_dsp_params` has of each channel of a 3x3 kernel.

    Args:
        prepared: Of filters (channels, 9), `plain`.

    Returns:
        uint32 words, (channels, 4), or (channels, 5) where a bias is large.
    """
    narrow = _fit(prepared.biases, _DEPTHWISE3_BIAS_BITS)
    biases = prepared.biases if narrow else np.zeros_like(prepared.biases)
    weights = prepared.filters.view(np.uint8).astype(np.int64)  # (channels, 9)
    words = weights[:, :8].reshape(-1, 2, 4) @ (1 << np.arange(0, 32, 8))
    last = weights[:, 8] + (prepared.right_shifts << 8) + (biases << 13)
    columns = [*words.T, last, prepared.multipliers, *([] if narrow else [prepared.biases])]
    return _words(np.stack(columns, axis=1))


def pack_winograd(prepared: RequantisedFilters, output_zero_point: int) -> np.ndarray:
    """Pack what `te_conv2d_winograd_dsp_params` has.

    Args:
        prepared: Of filters (channels, 9 * depth), `plain`; an even number of channels, the depth in fours.
        output_zero_point: Added to every output.

    Returns:
        uint32 words, (pairs of channels, words of a pair).
    """
    channels = len(prepared.filters)
    transformed = winograd_filters(prepared.filters).reshape(channels, 16, -1, 4)[..., _STEP_ORDER]
    steps = transformed.reshape(channels // 2, 2, 16, -1, 2).transpose(
        0, 2, 3, 1, 4
    )  # (pair, position, step, channel, depth)
    words = np.ascontiguousarray(steps.astype("<i2")).reshape(channels // 2, -1).view("<u4")
    roundings = (2 * output_zero_point + 1) << (prepared.right_shifts - 1)
    parts = (prepared.biases, prepared.multipliers, roundings, prepared.right_shifts)
    packed: np.ndarray = np.concatenate([words, _words(np.stack(parts, axis=1)).reshape(channels // 2, -1)], axis=1)
    return packed


def pack_row(stream: np.ndarray, words: int, channels: int) -> np.ndarray:
    """Turn a quick stream of `pack_filters` into that of te_gemm_row_s8_dsp.h, of every eight channels.

    Args:
        stream: uint32 words, of one group.
        words: The depth in units of four values.
        channels: At least eight; the last ones of less than eight stay as they are.
    """
    steps = 2 * words
    pairs = stream.reshape(-1, steps + 4)
    eights = channels // _ROW_CHANNELS
    rows, rest = np.split(pairs, [eights * _ROW_CHANNELS // 2])
    biases = rows[:, :2].view(np.int32).astype(np.int64)
    first, second = (biases >> 8).T
    joined = np.ascontiguousarray(rows[:, 2:-2])
    by_steps = joined.view(np.int8).reshape(len(rows), words, 2, 4)[..., ::2].astype(np.int64)  # Of first channels.
    products = by_steps.prod(axis=2).sum(axis=(1, 2))
    weights = joined.reshape(eights, 4, words, 2).transpose(0, 2, 1, 3)
    multipliers = rows[:, -2:].reshape(eights, 4, 2)
    shifts = (biases & 0xFF).reshape(eights, 4, 2).transpose(0, 2, 1) @ (1 << np.arange(0, 32, 8))  # (eights, member)
    parts: list[np.ndarray] = [
        _words(first - products).reshape(eights, 4),
        _words(256 * second + first).reshape(eights, 4),
        weights.reshape(eights, -1),
    ]
    for member in range(2):
        parts += [_words(shifts[:, member : member + 1]), multipliers[..., member]]
    packed: np.ndarray = np.concatenate([np.concatenate(parts, axis=1).ravel(), rest.ravel()])
    return packed


def narrow_filters(stream: np.ndarray, words: int, plain: int) -> np.ndarray | None:
    """Turn a stream of `pack_filters` or `pack_rows` into that of te_gemm_s4_dsp.h, which knows no quick ones.

    Args:
        stream: uint32 words, of weights from -8 to 7.
        words: The depth in units of four values.
        plain: Of the stream, as in `PackedFilters`.

    Returns:
        uint32 words, group by group as before; None where a sum may reach 2^27.
    """
    steps = 2 * words
    pairs = stream.reshape(-1, 2 + steps + (2 if plain else 3)).copy()
    ends = 2 + steps
    largest = 0 if plain else np.abs(pairs[:, :2].view(np.int32).astype(np.int64)).max()  # Plain ones fit 24 bits.
    if largest + _INT4_REACH * 4 * words >= _INT4_ACCUMULATOR_BOUND:
        return None
    weights = np.ascontiguousarray(pairs[:, 2:ends]).view(np.uint8).reshape(len(pairs), words, 2, 2, 2)
    if plain > 1:
        weights[..., 1] = weights[..., 1] + (
            weights[..., 0] >> 7
        )  # What the first channel's sign took from the second's weight.
        pairs[:, :2] = pairs[:, :2] - 2 * (pairs[:, :2] & 0xFF) + (plain - 1)
    halves = weights + 8 & 15
    # From (pairs, words, step, value, channel) to bytes of (value, step), of which each channel has a half.
    narrow = np.ascontiguousarray((halves[..., 0] | halves[..., 1] << 4).transpose(0, 1, 3, 2))
    words_of_steps = narrow.reshape(len(pairs), -1).view("<u4")
    packed: np.ndarray = np.concatenate([pairs[:, :2], words_of_steps, pairs[:, ends:]], axis=1).ravel()
    return packed


def raise_sums(prepared: RequantisedFilters, output_zero_point: int) -> tuple[RequantisedFilters, np.ndarray] | None:
    """Make filters of weights from -8 to 7 plain where a right shift is below 1.

    Sums 2^n times as large, rounded to steps of 2^-k and then shifted by k, are rounded twice, which for some sums is
    another output, unless a unit more or less of theirs makes up for it. All sums that a channel may have are tried.

    Args:
        prepared: Whose outputs are limited to [-128, 127].
        output_zero_point: Added to every output.

    Returns:
        The constants, and (channels, 2): n, and that unit; 0 and 0 for channels that were plain. None where some sum is
        left with another output.
    """
    low, high = (prepared.biases + part for part in _reach(prepared.filters, np.zeros(1, np.int64), 0))
    right_shifts, raised = prepared.right_shifts.copy(), np.zeros((len(low), 2), np.int64)
    for channel in np.flatnonzero(prepared.right_shifts < 1):
        sums = np.arange(low[channel], high[channel] + 1)
        multiplier, left = int(prepared.multipliers[channel] + 2**32) // 2, int(prepared.left_shifts[channel])
        largest = int(np.abs(sums).max(initial=1))
        products = (sums * 2**left * multiplier + 2**30) >> 31
        expected = np.clip(products + output_zero_point, -128, 127)
        for right, unit in itertools.product(range(_MAX_RAISED - left, 0, -1), (0, -1, 1)):
            if largest << (left + right) >= ACCUMULATOR_BOUND - 1:
                continue
            products = ((sums * 2 ** (left + right) + unit) * multiplier + 2**30) >> 31
            rounded = products - (products < 0) + ((2 * output_zero_point + 1) << (right - 1)) >> right
            if np.array_equal(np.clip(rounded, -128, 127), expected):
                right_shifts[channel], raised[channel] = right, (left + right, unit)
                break
        else:
            return None
    if np.any(np.abs(2 * output_zero_point + 1) << (right_shifts - 1) >= ACCUMULATOR_BOUND):
        return None
    raised_sums = np.maximum(np.abs(low), np.abs(high)) * 2 ** raised[:, 0] + np.abs(raised[:, 1])
    made = dataclasses.replace(
        prepared,
        right_shifts=right_shifts,
        left_shifts=np.zeros_like(prepared.left_shifts),
        plain=True,
        quick=_is_quick(right_shifts, raised_sums, output_zero_point),
    )
    return made, raised


def narrow_depthwise3(stream: np.ndarray, raised: np.ndarray) -> np.ndarray:
    """Turn a stream of `pack_depthwise3` into that of te_depthwise_conv2d_s4_dsp.

    Args:
        stream: uint32 words, (channels, 4 or 5), of weights from -8 to 7.
        raised: (channels, 2), as `raise_sums` returns them.

    Returns:
        uint32 words, (channels, 3 or 4).
    """
    halves = stream[:, :3].copy().view(np.uint8)[:, :9].astype(np.int64) & 15
    first = halves[:, :8] @ (1 << np.arange(0, 32, 4))
    shift_and_bias = stream[:, 2].view(np.int32).astype(np.int64) >> 8
    bias, shift = shift_and_bias >> 5, shift_and_bias & 31
    power, unit = raised.T
    second = halves[:, 8] + (shift << 4) + (power << 9)
    if stream.shape[1] == 4 and not np.any(unit):
        return _words(np.column_stack([first, second + (bias << 13), stream[:, 3]]))
    bias = bias if stream.shape[1] == 4 else stream[:, 4].view(np.int32).astype(np.int64)
    return _words(np.column_stack([first, second, stream[:, 3], (bias << power) + unit]))


def narrow_taps(stream: np.ndarray) -> np.ndarray:
    """Turn a stream of `pack_taps` into that of te_depthwise_taps_s4_dsp.

    Args:
        stream: uint32 words, (channels, 3 + words of weights), of weights from -8 to 7.

    Returns:
        uint32 words, (channels, 3 + half as many, rounded up).
    """
    weights = np.ascontiguousarray(stream[:, _TAPS_REQUANTISATION_WORDS:])
    weights = np.pad(weights, ((0, 0), (0, weights.shape[1] % 2)))
    halves = weights.view(np.uint8).reshape(len(stream), -1, 2, 4) + 8 & 15
    narrow = np.ascontiguousarray(halves[:, :, 0] | halves[:, :, 1] << 4).reshape(len(stream), -1).view("<u4")
    packed: np.ndarray = np.concatenate([stream[:, :_TAPS_REQUANTISATION_WORDS], narrow], axis=1)
    return packed


def _fit(values: np.ndarray, bits: int) -> bool:
    return bool(np.all(np.abs(values) < 1 << (bits - 1)))


def _padded(filters: np.ndarray, words: int) -> np.ndarray:
    """Return (channels, 4 * words): weights of 0 where the depth ends."""
    return np.pad(filters, ((0, 0), (0, 4 * words - filters.shape[1])))


def _plain_stream(
    filters: np.ndarray, biases: np.ndarray, multipliers: np.ndarray, right_shifts: np.ndarray, _: np.ndarray
) -> np.ndarray:
    """Return the words of one group of an even number of channels."""
    biases = (biases << 8) + np.maximum(right_shifts - 1, 0)  # Channels of zeros have no shift.
    pairs = [_words(biases).reshape(-1, 2), _steps(filters), _words(multipliers).reshape(-1, 2)]
    stream: np.ndarray = np.concatenate(pairs, axis=1)
    return stream.ravel()


def _quick_stream(
    filters: np.ndarray, biases: np.ndarray, multipliers: np.ndarray, right_shifts: np.ndarray, *, largest_shift: int
) -> np.ndarray:
    """Return the words of one group of an even number of channels."""
    # A channel of padding has no shift.
    biases = (biases << 8) + largest_shift - np.maximum(right_shifts, _LEAST_QUICK_SHIFT)
    # From (pairs, words, step, value) to words of two values.
    steps = _joined(filters).reshape(len(filters) // 2, -1, 4)[..., _STEP_ORDER]
    joined = np.ascontiguousarray(steps.astype("<i2")).view("<u4").reshape(len(steps), -1)
    pairs = [_words(biases).reshape(-1, 2), joined, _words(multipliers).reshape(-1, 2)]
    stream: np.ndarray = np.concatenate(pairs, axis=1)
    return stream.ravel()


def _general_stream(
    filters: np.ndarray, biases: np.ndarray, multipliers: np.ndarray, right_shifts: np.ndarray, left_shifts: np.ndarray
) -> np.ndarray:
    """Return the words of one group of an even number of channels."""
    shifts = (right_shifts + (left_shifts << 16)).reshape(-1, 2) @ (1, 256)  # (pairs)
    pairs = [
        _words(biases).reshape(-1, 2),
        _steps(filters),
        _words(multipliers).reshape(-1, 2),
        _words(shifts[:, None]),
    ]
    stream: np.ndarray = np.concatenate(pairs, axis=1)
    return stream.ravel()


def _steps(filters: np.ndarray) -> np.ndarray:
    """Return (pairs, steps) words of weights."""
    steps = filters.reshape(len(filters) // 2, 2, -1, 4)[..., _STEP_ORDER].reshape(len(filters) // 2, 2, -1, 2)
    bytes_of_steps = np.ascontiguousarray(steps.transpose(0, 2, 3, 1))  # (pairs, steps, first or second value, channel)
    words: np.ndarray = bytes_of_steps.view(np.uint8).reshape(len(steps), -1).view("<u4")
    return words


def pack_taps(prepared: RequantisedFilters, rows: int, taps: int) -> np.ndarray:
    """Pack what te_taps_s8_dsp.h has of each channel.

    Args:
        prepared: Of filters (channels, rows * taps).
        rows: Of taps.
        taps: Of a row.

    Returns:
        uint32 words, (channels, 3 + words of weights).
    """
    parts = (prepared.biases, prepared.multipliers, prepared.right_shifts + 256 * prepared.left_shifts)
    channels = len(prepared.filters)
    by_fours = _padded(prepared.filters.reshape(-1, taps), -(-taps // 4)).reshape(channels, -1, 4)
    weights = np.ascontiguousarray(by_fours[..., _STEP_ORDER]).reshape(channels, -1)
    packed: np.ndarray = np.concatenate([_words(np.stack(parts, axis=1)), weights.view("<u4")], axis=1)
    return packed


def pack_whole(prepared: RequantisedFilters, output_zero_point: int) -> np.ndarray:
    """Pack what `te_depthwise_whole_dsp_params` has.

    Args:
        prepared: Of filters (channels, pixels), `plain`; channels in fours.
        output_zero_point: Added to every output.

    Returns:
        uint32 words, (fours of channels, words of four).
    """
    channels, pixels = prepared.filters.shape
    pairs = np.pad(2 * prepared.filters.astype("<i2"), ((0, 0), (0, pixels % 2))).reshape(channels // 4, 4, -1, 2)
    weights = np.ascontiguousarray(pairs.transpose(0, 2, 1, 3)).reshape(
        channels // 4, -1
    )  # (fours, pairs, channel, pixel)
    roundings = (2 * output_zero_point + 1) << (prepared.right_shifts - 1)
    shifts = prepared.right_shifts.reshape(-1, 4) @ (1 << np.arange(0, 32, 8))
    parts = [
        _words(2 * prepared.biases).reshape(-1, 4),
        weights.view("<u4"),
        _words((prepared.multipliers + 2**32) // 2).reshape(-1, 4),
        _words(roundings).reshape(-1, 4),
        _words(shifts[:, None]),
    ]
    packed: np.ndarray = np.concatenate(parts, axis=1)
    return packed


def pack_one(prepared: RequantisedFilters) -> np.ndarray:
    """Pack what `te_fully_connected_one_dsp_params` has: the only filter as uint32 words, four bytes each."""
    words: np.ndarray = _padded(prepared.filters, -(-prepared.filters.shape[1] // 4)).astype(np.int8).view("<u4")
    return words.ravel()


def _words(values: np.ndarray) -> np.ndarray:
    words: np.ndarray = (values % 2**32).astype(np.uint32)
    return words
