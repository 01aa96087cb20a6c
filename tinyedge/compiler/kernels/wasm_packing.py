"""Filters and constants in the order in which the kernels for WebAssembly read them: te_wasm.h and te_gemm_wasm.h."""

import dataclasses
from dataclasses import dataclass

import numpy as np

from tinyedge.compiler.kernels.convolution_forms import winograd_filters
from tinyedge.ops.fields import integers, values
from tinyedge.ops.kernel_call import Fields
from tinyedge.tflite.fixed_point import only_output

LANES = 8
"""Channels of two vectors of sums."""

NO_CONSTANTS = "its scales differ too much for one right shift, or its sums may reach 2^31"
"""Why a call keeps its kernel where there are no constants of requantisation for it."""

_VECTOR = 4
_LEAST_MULTIPLIER = 2**30
# Then an addend, which holds the output's zero point above all fractional bits, fits 64 bits beside any product.
_MOST_FRACTION_BITS = 22


@dataclass(frozen=True, eq=False)
class WasmLayer:
    """The filters of a layer and what turns their sums into outputs.

    Attributes:
        filters: (channels, depth) int8, made 0 where the output is the same whatever comes in.
        constants: (channels, 7) int64: bias, power of two, multiplier, addend in two words, correction; of te_wasm.h.
        shift: Of all channels.
        largest_sum: No sum of a channel is larger in magnitude, bias included.
    """

    filters: np.ndarray
    constants: np.ndarray
    shift: int
    largest_sum: int


def prepare_layer(fields: Fields, filters: np.ndarray) -> WasmLayer | None:
    """Work out the constants of a layer.

    Args:
        fields: Of the portable kernel's call.
        filters: (channels, depth) int8.

    Returns:
        None where the instructions would not give the reference's bits.
    """
    input_zero_point, output_zero_point = integers(fields, "input_zero_point", "output_zero_point")
    limits = integers(fields, "output_min", "output_max")
    weights = filters.astype(np.int64)
    given = 0 if fields["bias"] is None else values(fields, "bias").astype(np.int64)
    biases = given - input_zero_point * weights.sum(axis=1)
    reach = 128 * np.abs(weights).sum(axis=1)
    pairs = zip(values(fields, "multipliers").tolist(), values(fields, "shifts").tolist(), strict=True)
    channels = list(zip(biases.tolist(), reach.tolist(), pairs, strict=True))
    # Converters write channels of weights 0 with biases that no sum should be added to.
    only = [
        only_output(bias - span, bias + span, *pair, output_zero_point, (limits[0], limits[1]))
        for bias, span, pair in channels
    ]
    rights = [max(-shift, 0) for (_, _, (_, shift)), value in zip(channels, only, strict=True) if value is None]
    fraction = max(rights, default=0) + 1
    if fraction > _MOST_FRACTION_BITS:
        return None
    rows = []
    largest_sum = 0
    for (bias, span, (multiplier, shift)), value in zip(channels, only, strict=True):
        if value is not None:
            rows.append((0, 0, 0, value << (31 + fraction), 0))
            continue
        right, left = max(-shift, 0), max(shift, 0)
        spare = fraction - right
        if multiplier < _LEAST_MULTIPLIER or (abs(bias) + span) << (spare + left) >= 2**31:
            return None
        largest_sum = max(largest_sum, abs(bias) + span)
        halves = 2**30 + (2 ** (30 + right) if right else 0)
        addend = (halves << spare) + (output_zero_point << (31 + fraction))
        rows.append((bias, 2 ** (spare + left), multiplier, addend, -(2 ** (spare - 1)) if right else 0))
    is_only = np.array([value is not None for value in only])
    constants = np.zeros((len(rows), 6), np.int64)
    constants[:, [0, 1, 2, 5]] = [(bias, power, multiplier, less) for bias, power, multiplier, _, less in rows]
    addends = np.array([addend for *_, addend, _ in rows], np.int64)
    constants[:, 3:5] = addends.view(np.int32).reshape(-1, 2)
    return WasmLayer(np.where(is_only[:, None], 0, filters).astype(np.int8), constants, fraction - 1, largest_sum)


def pack_constants(layer: WasmLayer) -> np.ndarray:
    """Return the constants by four channels, int32; those of channels that fill up the last four are 0."""
    constants = _whole(layer.constants, _VECTOR)
    vectors = constants.reshape(-1, _VECTOR, constants.shape[1])
    addends = vectors[:, :, 3:5].reshape(len(vectors), 2 * _VECTOR)
    kinds = [*(vectors[:, :, kind] for kind in range(3)), addends, vectors[:, :, 5]]
    packed: np.ndarray = np.concatenate(kinds, axis=1).astype(np.int32).ravel()
    return packed


def pack_filters(layer: WasmLayer, runs: int) -> np.ndarray:
    """Return the filters by eight channels, or the last four, and by two values of each of so many runs."""
    channels = len(layer.filters)
    by_run = layer.filters.reshape(channels, runs, -1)
    even = np.pad(by_run, ((0, 0), (0, 0), (0, by_run.shape[2] % 2))).reshape(channels, -1, 2)
    parts = []
    for first in range(0, channels, LANES):
        part = even[first : first + LANES]
        parts.append(_whole(part, LANES if len(part) > _VECTOR else _VECTOR).transpose(1, 0, 2).ravel())
    return np.concatenate(parts)


def pack_winograd(layer: WasmLayer) -> np.ndarray:
    """Return transformed 3x3 filters, int16, by eight channels, by position and by two values; both are in eights."""
    channels = len(layer.filters)
    transformed = winograd_filters(layer.filters).reshape(channels // LANES, LANES, 16, -1, 2)
    return np.ascontiguousarray(transformed.transpose(0, 2, 3, 1, 4).astype(np.int16)).ravel()


def pack_taps(layer: WasmLayer) -> np.ndarray:
    """Return the filters (channels, taps) by eight channels and two taps."""
    channels, taps = layer.filters.shape
    even = np.pad(layer.filters, ((0, 0), (0, taps % 2))).reshape(channels, -1, 2)
    return np.ascontiguousarray(even.reshape(-1, LANES, even.shape[1], 2).transpose(0, 2, 1, 3)).ravel()


def by_eights(layer: WasmLayer) -> WasmLayer:
    """Return a layer of at least eight channels whose last ones come again where they are no multiple of eight."""
    channels = len(layer.filters)
    order = np.arange(channels)
    if channels % LANES:
        order = np.concatenate([order[: channels // LANES * LANES], order[-LANES:]])
    return dataclasses.replace(layer, filters=layer.filters[order], constants=layer.constants[order])


def _whole(values_by_channel: np.ndarray, multiple: int) -> np.ndarray:
    missing = -len(values_by_channel) % multiple
    return np.pad(values_by_channel, ((0, missing), *((0, 0) for _ in values_by_channel.shape[1:])))
