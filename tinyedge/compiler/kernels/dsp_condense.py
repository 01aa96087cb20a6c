"""Fewer kernels of the DSP extension in an image: what `--optimize size` takes of them."""

import dataclasses
from collections.abc import Sequence

from tinyedge.compiler.kernels.choice import chosen
from tinyedge.compiler.kernels.dsp_convolution import CONV2D, CONV2D_ROWS, conv2d
from tinyedge.compiler.kernels.dsp_products import FULLY_CONNECTED, FULLY_CONNECTED_ROW, fully_connected
from tinyedge.ops.conv2d import KERNELS as CONV_2D_KERNELS
from tinyedge.ops.fields import integers, without
from tinyedge.ops.fully_connected import KERNEL as FULLY_CONNECTED_KERNEL
from tinyedge.ops.kernel_call import ConstantArray, KernelCall
from tinyedge.ops.padding import window_fields
from tinyedge.ops.window import PIXEL

# The part of a model's multiply-accumulates from which on few rows keep the kernel that has them twice as fast.
_ROWS_SHARE = 1 / 8
# The bytes of the kernel of matrix products, and by how much a call of the other one has more parameters.
_PRODUCTS_BYTES, _PARAMETERS_BYTES = 396, 52

_PRODUCTS = (FULLY_CONNECTED, FULLY_CONNECTED_ROW)


def condense_dsp(portable: Sequence[KernelCall], calls: Sequence[KernelCall]) -> list[KernelCall]:
    """Give matrix products and convolutions of few channels the kernel of other convolutions, where there are any.

    Args:
        portable: The calls as lowered.
        calls: What `use_dsp` made of them.
    """
    rows = sum(call.macs for call in calls if call.kernel is FULLY_CONNECTED_ROW)
    has_rows = rows > _ROWS_SHARE * sum(call.macs for call in calls)
    condensed = [
        chosen(call, conv2d(before, condensed=True))
        if call.kernel is CONV2D_ROWS and before.kernel is CONV_2D_KERNELS["s8"]
        else call
        for before, call in zip(portable, calls, strict=True)
    ]
    products = sum(call.kernel in _PRODUCTS for call in calls)
    has_windows = any(call.kernel is CONV2D for call in condensed)
    as_windows = has_windows and products * _PARAMETERS_BYTES < _PRODUCTS_BYTES
    return [
        _product(before, call, as_windows=as_windows)
        if call.kernel in _PRODUCTS and not (has_rows and call.kernel is FULLY_CONNECTED_ROW)
        else call
        for before, call in zip(portable, condensed, strict=True)
    ]


def _product(before: KernelCall, call: KernelCall, *, as_windows: bool) -> KernelCall:
    if before.kernel is CONV_2D_KERNELS["s8"]:
        return chosen(call, conv2d(before, condensed=as_windows))
    if before.kernel is not FULLY_CONNECTED_KERNEL:
        return call
    made = chosen(call, fully_connected(before))
    return _as_convolution(before, made) if as_windows else made


def _as_convolution(before: KernelCall, product: KernelCall) -> KernelCall:
    """Return a matrix product as a convolution of 1x1 filters over an image of one row."""
    rows, in_c, out_c = integers(product.fields, "batches", "in_c", "out_c")
    spare = in_c if in_c % 4 == 0 else product.scratch_bytes // 2
    packed = product.fields["packed"]
    assert isinstance(packed, ConstantArray)
    return dataclasses.replace(
        product,
        kernel=CONV2D,
        fields={
            **without(product.fields, "batches", "in_c", "out_c", "blocks"),
            **window_fields((1, 1, rows, in_c), (1, 1, rows, out_c), PIXEL, PIXEL),
            "out_c": out_c,
            "group_c": in_c,
            "input_zero_point": before.fields["input_zero_point"],
            "group_words": packed.values.size,
        },
        scratch_bytes=product.scratch_bytes + spare,
    )
