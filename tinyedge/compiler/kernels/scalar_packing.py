"""Filters in the order in which the scalar kernels read them; firmware/kernels/te_gemm_s8_scalar.h describes it."""

from dataclasses import dataclass, replace

import numpy as np

from tinyedge.compiler.kernels.mve_packing import RequantisedFilters, as_words

# A sum of 4 v becomes v + the zero point under this multiplier and a right shift of 1.
_MULTIPLIER_OF_CONSTANTS = 2**30


@dataclass(frozen=True, eq=False)
class ScalarFilters:
    """The constants of a layer.

    Attributes:
        stream: uint32 words, channel by channel: weights, bias, multiplier.
        shifts: (channels) int8, the right shifts less 1.
    """

    stream: np.ndarray
    shifts: np.ndarray


def pack_scalar(prepared: RequantisedFilters, output_zero_point: int) -> ScalarFilters:
    """Pack filters, biases and requantisation multipliers of `te_gemm4_s8_scalar` and its kin.

    Args:
        prepared: As for MVE, of which all roundings but those of constant channels follow from the right shift.
        output_zero_point: Added to every output.
    """
    filters = np.pad(prepared.filters, ((0, 0), (0, -prepared.filters.shape[1] % 4)))
    return _packed(np.ascontiguousarray(filters).view(np.uint8).view("<u4"), prepared, output_zero_point)


def pack_scalar_int4(prepared: RequantisedFilters, output_zero_point: int) -> ScalarFilters:
    """The same of weights from -8 to 7, eight to a word; firmware/kernels/te_gemm_s4_scalar.h describes it."""
    filters = np.pad(prepared.filters, ((0, 0), (0, -prepared.filters.shape[1] % 8)))
    halves = np.ascontiguousarray(filters).view(np.uint8) & 15
    words = np.ascontiguousarray(halves[:, 0::2] | halves[:, 1::2] << 4).view("<u4")
    return _packed(words, prepared, output_zero_point)


def pack_scalar_taps_int4(prepared: RequantisedFilters, output_zero_point: int) -> ScalarFilters:
    """Of depthwise weights from -8 to 7: of eight in a word, the first four in the lower halves of its bytes."""
    filters = np.pad(prepared.filters, ((0, 0), (0, -prepared.filters.shape[1] % 8)))
    turns = filters.reshape(len(filters), -1, 2, 4).transpose(0, 1, 3, 2).reshape(filters.shape)
    return pack_scalar_int4(replace(prepared, filters=turns), output_zero_point)


def pack_scalar_rows_int4(prepared: RequantisedFilters, output_zero_point: int) -> ScalarFilters:
    """Pack weights from -8 to 7, biases and multipliers as `te_fully_connected_s4_scalar` reads them."""
    channels, depth = prepared.filters.shape
    lanes = -channels % 4
    raised = (np.pad(prepared.filters, ((0, lanes), (0, depth % 2))) + 8).view(np.uint8).astype(np.uint32)
    fours = raised.reshape(-1, 2, 2, (depth + 1) // 2, 2)  # (fours, pair, half of a word, words, depth of a word)
    places = 4 * np.arange(2)[:, None, None, None] + 16 * np.arange(2)[:, None, None] + 8 * np.arange(2)
    words = (fours << places.astype(np.uint32)).sum(axis=(1, 2, 4), dtype=np.uint32)
    biases, multipliers, right_shifts = requantisation(prepared, output_zero_point)
    constants = as_words(np.pad(np.stack([biases, multipliers]), ((0, 0), (0, lanes))))
    by_fours = constants.reshape(2, -1, 4).transpose(1, 0, 2).reshape(len(words), -1)
    stream: np.ndarray = np.concatenate([words, by_fours], axis=1).ravel()
    return ScalarFilters(stream, (right_shifts - 1).astype(np.int8))


def _packed(words: np.ndarray, prepared: RequantisedFilters, output_zero_point: int) -> ScalarFilters:
    biases, multipliers, right_shifts = requantisation(prepared, output_zero_point)
    constants = as_words(np.stack([biases, multipliers], axis=1))
    stream: np.ndarray = np.concatenate([words, constants], axis=1).ravel()
    return ScalarFilters(stream, (right_shifts - 1).astype(np.int8))


def requantisation(prepared: RequantisedFilters, output_zero_point: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return biases, multipliers and right shifts of a requantisation that rounds by nothing but the shift."""
    is_constant = prepared.multipliers == 0
    constants = (prepared.roundings >> prepared.right_shifts) - output_zero_point
    return (
        np.where(is_constant, 4 * constants, prepared.biases),
        np.where(is_constant, _MULTIPLIER_OF_CONSTANTS, prepared.multipliers),
        np.where(is_constant, 1, prepared.right_shifts),
    )
