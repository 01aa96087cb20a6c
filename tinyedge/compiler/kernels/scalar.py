"""Cores without SIMD instructions: two 8-bit multiply-accumulates by one 32-bit multiplication."""

import dataclasses
import math
from collections.abc import Callable

from tinyedge.compiler.kernels.choice import chosen
from tinyedge.compiler.kernels.convolution_forms import (
    FILTERS,
    along_rows,
    as_convolution,
    dense_filters,
    depthwise_filters,
    is_pointwise,
    with_filters,
)
from tinyedge.compiler.kernels.int4 import with_int8_weights
from tinyedge.compiler.kernels.mve_packing import NO_CONSTANTS, RequantisedFilters, prepare_layer
from tinyedge.compiler.kernels.scalar_packing import (
    ScalarFilters,
    pack_scalar,
    pack_scalar_int4,
    pack_scalar_rows_int4,
    pack_scalar_taps_int4,
)
from tinyedge.ops.conv2d import KERNELS as CONV_2D_KERNELS
from tinyedge.ops.depthwise_conv2d import KERNELS as DEPTHWISE_CONV_2D_KERNELS
from tinyedge.ops.fields import integers, without
from tinyedge.ops.fully_connected import KERNEL as FULLY_CONNECTED_KERNEL
from tinyedge.ops.kernel_call import ConstantArray, Fields, Kernel, KernelCall
from tinyedge.ops.stripes import pixelwise, windowed

# Pixels that one pass over the filters computes, as in te_gemm_s8_scalar.h.
_PIXELS = 4
# Outputs of a row from which on padded rows of a channel, which are copied, are not slower than the portable kernel.
_LEAST_COPIED = 3


def use_scalar(call: KernelCall) -> KernelCall:
    """Return the call of the `_scalar` kernel with the same result, or the call itself where there is none."""
    choose = _VARIANTS.get(call.kernel)
    return call if choose is None else chosen(call, choose(call))


def _conv2d(call: KernelCall) -> KernelCall | str:
    call = along_rows(call)
    fields = call.fields
    batches, in_h, in_w, in_c = integers(fields, "batches", "in_h", "in_w", "in_c")
    kernel_h, kernel_w, group_c = integers(fields, "kernel_h", "kernel_w", "group_c")
    prepared = prepare_layer(fields, dense_filters(fields))
    if prepared is None:
        return NO_CONSTANTS
    if is_pointwise(fields):
        return _int8_rows(call, prepared, batches * in_h * in_w, in_c)
    scratch_bytes = _column_bytes(kernel_h * kernel_w * group_c) + kernel_w * group_c
    return with_filters(call, _CONV2D, _packed(fields, prepared), scratch_bytes)


def _conv2d_int4(call: KernelCall) -> KernelCall | str:
    """The kernel of CONV_2D with weights from -8 to 7."""
    return _narrow_conv2d(with_int8_weights(call, CONV_2D_KERNELS["s8"]))


def _narrow_conv2d(call: KernelCall) -> KernelCall | str:
    """The kernel of weights from -8 to 7, of four pixels at a time or of few rows, of the int8 kernel's call."""
    call = along_rows(call)
    fields = call.fields
    out_h, out_w, kernel_h, kernel_w, group_c = integers(fields, "out_h", "out_w", "kernel_h", "kernel_w", "group_c")
    prepared = prepare_layer(fields, dense_filters(fields))
    if prepared is None:
        return NO_CONSTANTS
    if out_h * out_w < _PIXELS and is_pointwise(fields):
        (batches,) = integers(fields, "batches")
        packed = pack_scalar_rows_int4(prepared, *integers(fields, "output_zero_point"))
        return _rows(call, _FULLY_CONNECTED_INT4, packed, batches * out_h * out_w, 0)
    if out_h * out_w < _PIXELS:
        return f"it has {out_h * out_w} pixels of the {_PIXELS} that are made at a time"
    packed = pack_scalar_int4(prepared, *integers(fields, "output_zero_point"))
    scratch_bytes = _column_bytes(kernel_h * kernel_w * group_c, 8) + kernel_w * group_c
    return with_filters(call, _CONV2D_INT4, _members(packed), scratch_bytes)


def _depthwise_conv2d(call: KernelCall) -> KernelCall | str:
    if integers(call.fields, "in_c") == (1,):
        return _conv2d(as_convolution(call))
    return _depthwise(call, _DEPTHWISE_CONV2D, pack_scalar, 0)


def _depthwise_conv2d_int4(call: KernelCall) -> KernelCall | str:
    """The kernel of weights from -8 to 7, which takes a filter apart for each row of outputs."""
    call = with_int8_weights(call, DEPTHWISE_CONV_2D_KERNELS["s8"])
    if integers(call.fields, "in_c") == (1,):
        return _narrow_conv2d(as_convolution(call))
    taps = math.prod(integers(call.fields, "kernel_h", "kernel_w"))
    return _depthwise(call, _DEPTHWISE_CONV2D_INT4, pack_scalar_taps_int4, -(-taps // 8) * 8)


def _depthwise(
    call: KernelCall, kernel: Kernel, pack: Callable[[RequantisedFilters, int], ScalarFilters], weight_bytes: int
) -> KernelCall | str:
    """The call of a kernel that has so many bytes of weights in scratch, or why there is none."""
    fields = call.fields
    in_c, multiplier_c, kernel_h, out_w = integers(fields, "in_c", "multiplier_c", "kernel_h", "out_w")
    if multiplier_c != 1:
        return f"{multiplier_c} filters see each of {in_c} channels"
    prepared = prepare_layer(fields, depthwise_filters(fields))
    if prepared is None:
        return NO_CONSTANTS
    line = _line_bytes(fields)
    if line and out_w < _LEAST_COPIED:
        return f"its rows of {out_w} outputs are fewer than the {_LEAST_COPIED} that a copy of the input pays for"
    return dataclasses.replace(
        call,
        kernel=kernel,
        fields={
            **without(fields, "multiplier_c", *FILTERS),
            "line": line,
            **_members(pack(prepared, *integers(fields, "output_zero_point"))),
        },
        scratch_bytes=weight_bytes + kernel_h * line,
    )


def _line_bytes(fields: Fields) -> int:
    """Of a padded row of a channel; 0 where windows are mostly inside and read where they lie."""
    in_w, out_w, kernel_w, stride_w, dilation_w, pad_left = integers(
        fields, "in_w", "out_w", "kernel_w", "stride_w", "dilation_w", "pad_left"
    )
    reach = (kernel_w - 1) * dilation_w
    inner, outer = -(-pad_left // stride_w), min((in_w - 1 - reach + pad_left) // stride_w + 1, out_w)
    # A value of a line takes half as long to copy as a tap of a window at the edge, which is summed alone.
    alone = out_w - (outer - inner)
    if outer - inner >= _PIXELS and 2 * alone * kernel_w <= in_w:
        return 0
    return max(pad_left + in_w, (-(-out_w // _PIXELS) * _PIXELS - 1) * stride_w + reach + 1)


def _fully_connected(call: KernelCall) -> KernelCall | str:
    batches, in_c, weights_zero_point = integers(call.fields, "batches", "in_c", "weights_zero_point")
    if weights_zero_point != 0:
        return f"its weights have the zero point {weights_zero_point}"
    prepared = prepare_layer(call.fields, dense_filters(call.fields))
    return NO_CONSTANTS if prepared is None else _int8_rows(call, prepared, batches, in_c)


def _int8_rows(call: KernelCall, prepared: RequantisedFilters, rows: int, in_c: int) -> KernelCall:
    packed = pack_scalar(prepared, *integers(call.fields, "output_zero_point"))
    return _rows(call, _FULLY_CONNECTED, packed, rows, _column_bytes(in_c) if rows >= _PIXELS else 0)


def _rows(call: KernelCall, kernel: Kernel, packed: ScalarFilters, rows: int, scratch_bytes: int) -> KernelCall:
    kept = ("in_c", "out_c", "output_zero_point", "output_min", "output_max")
    return dataclasses.replace(
        call,
        kernel=kernel,
        fields={"batches": rows, **{name: call.fields[name] for name in kept}, **_members(packed)},
        scratch_bytes=scratch_bytes,
    )


def _column_bytes(depth: int, multiple: int = 4) -> int:
    """Of the columns of four pixels, whose depth is rounded up."""
    return 2 * _PIXELS * (-(-depth // multiple) * multiple)


def _packed(fields: Fields, prepared: RequantisedFilters) -> Fields:
    return _members(pack_scalar(prepared, *integers(fields, "output_zero_point")))


def _members(packed: ScalarFilters) -> Fields:
    return {"packed": ConstantArray(packed.stream), "shifts": ConstantArray(packed.shifts)}


_CONV2D = Kernel("te_conv2d_s8_scalar", "te_conv2d_scalar_params", "scalar", stripes=windowed, has_window=True)
_CONV2D_INT4 = Kernel("te_conv2d_s4_scalar", "te_conv2d_scalar_params", "scalar", stripes=windowed, has_window=True)
_DEPTHWISE_CONV2D = Kernel(
    "te_depthwise_conv2d_s8_scalar",
    "te_depthwise_conv2d_scalar_params",
    "scalar",
    stripes=windowed,
    loads_rows=True,
    has_window=True,
)
_DEPTHWISE_CONV2D_INT4 = dataclasses.replace(_DEPTHWISE_CONV2D, function="te_depthwise_conv2d_s4_scalar")
_FULLY_CONNECTED = Kernel(
    "te_fully_connected_s8_scalar", "te_fully_connected_scalar_params", "scalar", stripes=pixelwise
)
_FULLY_CONNECTED_INT4 = dataclasses.replace(_FULLY_CONNECTED, function="te_fully_connected_s4_scalar")

_VARIANTS: dict[Kernel, Callable[[KernelCall], KernelCall | str]] = {
    CONV_2D_KERNELS["s4"]: _conv2d_int4,
    CONV_2D_KERNELS["s8"]: _conv2d,
    DEPTHWISE_CONV_2D_KERNELS["s4"]: _depthwise_conv2d_int4,
    DEPTHWISE_CONV_2D_KERNELS["s8"]: _depthwise_conv2d,
    FULLY_CONNECTED_KERNEL: _fully_connected,
}
