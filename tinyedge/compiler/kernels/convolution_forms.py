"""Convolutions written as others with the same result, as the kernels of every instruction set ask for them."""

import dataclasses

import numpy as np

from tinyedge.ops.fields import integers, values, without
from tinyedge.ops.kernel_call import ConstantArray, Fields, KernelCall


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
