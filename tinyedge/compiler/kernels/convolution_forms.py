"""Convolutions in the forms that the kernels of every instruction set ask for."""

import dataclasses

import numpy as np

from tinyedge.ops.fields import integers, values, without
from tinyedge.ops.kernel_call import ConstantArray, Fields, Kernel, KernelCall

FILTERS = ("weights", "bias", "multipliers", "shifts")
"""The members of a convolution in whose place a kernel has filters in a form of its own."""

# G of te_winograd_s8_dsp.h.
_WINOGRAD_FILTERS = np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]])


def along_rows(call: KernelCall) -> KernelCall:
    """Return a convolution over an image of one column as the same over one row, where a window is a run of bytes."""
    fields = call.fields
    column = ("in_w", "out_w", "kernel_w", "stride_w", "dilation_w", "pad_left")
    row = ("in_h", "out_h", "kernel_h", "stride_h", "dilation_h", "pad_top")
    in_w, out_w, kernel_w, _, _, pad_left = integers(fields, *column)
    if (in_w, out_w, kernel_w, pad_left) != (1, 1, 1, 0):
        return call
    exchanged = dict(zip((*column, *row), (*row, *column), strict=True))
    return dataclasses.replace(call, fields={name: fields[exchanged.get(name, name)] for name in fields})


def is_pointwise(fields: Fields) -> bool:
    """Whether a convolution is 1x1 without strides, padding and groups: a fully connected layer over all pixels."""
    window = integers(
        fields, "kernel_h", "kernel_w", "stride_h", "stride_w", "dilation_h", "dilation_w", "pad_top", "pad_left"
    )
    in_h, in_w, in_c, out_h, out_w, group_c = integers(fields, "in_h", "in_w", "in_c", "out_h", "out_w", "group_c")
    return window == (1, 1, 1, 1, 1, 1, 0, 0) and group_c == in_c and (in_h, in_w) == (out_h, out_w)


def with_filters(
    call: KernelCall, kernel: Kernel, filters: Fields, scratch_bytes: int, dropped: tuple[str, ...] = ()
) -> KernelCall:
    """Return a convolution by a kernel that goes through all pixels with one group after the other.

    Args:
        call: By the portable kernel.
        kernel: What computes it instead.
        filters: Its members in place of `FILTERS`.
        scratch_bytes: What it takes beside inputs and output.
        dropped: Further members that it does not have.
    """
    in_c, group_c = integers(call.fields, "in_c", "group_c")
    return dataclasses.replace(
        call,
        kernel=kernel,
        fields={**without(call.fields, *FILTERS, *dropped), **filters},
        overlaps=call.overlaps if group_c == in_c else (),
        scratch_bytes=scratch_bytes,
    )


def packed_by_group(stream: np.ndarray, groups: int) -> Fields:
    """Return the members for filters that lie group by group in one array, with as many words for each."""
    return {"group_words": stream.size // groups, "packed": ConstantArray(stream)}


def dense_filters(fields: Fields) -> np.ndarray:
    """Return the weights of a convolution or fully connected layer as (channels, depth)."""
    (out_c,) = integers(fields, "out_c")
    return values(fields, "weights").reshape(out_c, -1)


def winograd_filters(filters: np.ndarray) -> np.ndarray:
    """Transform 3x3 filters (channels, 9 * depth) by Winograd's F(2x2, 3x3): int64 (channels, 16, depth)."""
    channels = len(filters)
    taps = filters.reshape(channels, 3, 3, -1).astype(np.int64)
    transformed: np.ndarray = np.einsum("yi,xj,cijd->cyxd", _WINOGRAD_FILTERS, _WINOGRAD_FILTERS, taps)
    return transformed.reshape(channels, 16, -1)


def depthwise_filters(fields: Fields) -> np.ndarray:
    """Return the weights of a depthwise convolution as (channels, taps)."""
    kernel_h, kernel_w, in_c, multiplier_c = integers(fields, "kernel_h", "kernel_w", "in_c", "multiplier_c")
    return np.ascontiguousarray(values(fields, "weights").reshape(kernel_h * kernel_w, in_c * multiplier_c).T)


def as_convolution(call: KernelCall) -> KernelCall:
    """Return a depthwise convolution of one channel as the convolution it is: all filters see that channel."""
    (multiplier_c,) = integers(call.fields, "multiplier_c")
    weights = ConstantArray(depthwise_filters(call.fields))
    extra: Fields = {"out_c": multiplier_c, "group_c": 1, "weights": weights}
    return dataclasses.replace(call, fields={**without(call.fields, "multiplier_c"), **extra})
