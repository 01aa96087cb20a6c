"""The DSP extension of Armv7E-M and Armv8-M: two 16-bit multiply-accumulates an instruction."""

import dataclasses
from collections.abc import Callable, Collection

import numpy as np

from tinyedge.compiler.kernels.dsp_packing import (
    PackedFilters,
    RequantisedFilters,
    pack_depthwise,
    pack_depthwise3,
    pack_filters,
    prepare_filters,
    prepare_requantisation,
)
from tinyedge.ops.add import KERNELS as ADD_KERNELS
from tinyedge.ops.batch_matmul import KERNELS as BATCH_MATMUL_KERNELS
from tinyedge.ops.conv2d import KERNELS as CONV_2D_KERNELS
from tinyedge.ops.depthwise_conv2d import KERNELS as DEPTHWISE_CONV_2D_KERNELS
from tinyedge.ops.fields import integers, values, without
from tinyedge.ops.fully_connected import KERNEL as FULLY_CONNECTED_KERNEL
from tinyedge.ops.kernel_call import ConstantArray, Fields, Kernel, KernelCall, StripeForm
from tinyedge.ops.overlap import in_place, in_place_by_channels
from tinyedge.ops.stripes import counted, pixelwise, windowed
from tinyedge.ops.window import Window

# Pixels that one pass over the filters computes, as in te_gemm_s8_dsp.h.
_PIXELS = 4
# Four te_depthwise3_channel.
_DEPTHWISE3_CONSTANT_BYTES = 160
# What the widened input of some output rows may take where a single one does not take more.
_STRIPE_BYTES = 3072
# Then the sum of a row of int8 values fits 16 bits.
_MAX_BATCH_MATMUL_DEPTH = 255
_ADD_TABLE_BYTES = 1024
# Fewer are not worth a table.
_MIN_ADD_ELEMENTS = 128
# The struct of a depthwise convolution has sizes of 16 bits.
_INT16_MAX = 2**15 - 1
# (multiplier, shift) of the multiplier 1/2.
_HALF = (2**30, 0)


def use_dsp(call: KernelCall) -> KernelCall:
    """Return the call of the `_dsp` kernel with the same result, or the call itself where there is none."""
    choose = _VARIANTS.get(call.kernel)
    return call if choose is None else choose(call) or call


def _conv2d(call: KernelCall) -> KernelCall | None:
    fields = call.fields
    window = integers(
        fields, "kernel_h", "kernel_w", "stride_h", "stride_w", "dilation_h", "dilation_w", "pad_top", "pad_left"
    )
    in_h, in_w, in_c, out_h, out_w = integers(fields, "in_h", "in_w", "in_c", "out_h", "out_w")
    batches, out_c, group_c = integers(fields, "batches", "out_c", "group_c")
    filters = values(fields, "weights").reshape(out_c, -1)
    groups = in_c // group_c
    packed = _pack(fields, filters, groups)
    if packed is None:
        return None
    if window == (1, 1, 1, 1, 1, 1, 0, 0) and groups == 1 and (in_h, in_w) == (out_h, out_w):
        return _rows(call, packed, batches * in_h * in_w, in_c, out_c)
    depth = 4 * packed.words
    at_once = _PIXELS if out_h * out_w >= _PIXELS else 1
    spare = group_c if group_c % 4 == 0 else depth * at_once
    return dataclasses.replace(
        call,
        kernel=_CONV2D,
        fields={
            **without(fields, "weights", "bias", "multipliers", "shifts"),
            "plain": int(packed.plain),
            "group_words": packed.stream.size // groups,
            "packed": ConstantArray(packed.stream),
        },
        # One group after the other goes through all pixels.
        overlaps=call.overlaps if groups == 1 else (),
        scratch_bytes=2 * depth * at_once + spare,
    )


def _depthwise_conv2d(call: KernelCall) -> KernelCall | None:
    fields = call.fields
    in_w, in_c, out_h, out_w, multiplier_c = integers(fields, "in_w", "in_c", "out_h", "out_w", "multiplier_c")
    kernel_h, kernel_w, stride_w, dilation_w, pad_left = integers(
        fields, "kernel_h", "kernel_w", "stride_w", "dilation_w", "pad_left"
    )
    weights = values(fields, "weights").reshape(kernel_h * kernel_w, in_c * multiplier_c)
    if in_c == 1:  # All filters see the one channel: that is a convolution.
        filters = ConstantArray(np.ascontiguousarray(weights.T))
        extra: Fields = {"out_c": multiplier_c, "group_c": 1, "weights": filters}
        return _conv2d(dataclasses.replace(call, fields={**without(fields, "multiplier_c"), **extra}))
    prepared = _prepare(fields, np.ascontiguousarray(weights.T))
    if multiplier_c != 1 or prepared is None:
        return None
    vertical = Window(*integers(fields, "stride_h", "dilation_h", "pad_top", "kernel_h"))
    padded_w = max(pad_left + in_w, (out_w - 1) * stride_w + (kernel_w - 1) * dilation_w + 1)
    plane_w = (padded_w + 1) // 2 * 2
    three = prepared.plain and (kernel_h, kernel_w, dilation_w) == (3, 3, 1) and stride_w in (1, 2) and out_w >= 2
    stripe_h = _stripe_rows(vertical, out_h, 8 * plane_w)
    scratch_bytes = _depthwise_scratch_bytes(vertical, plane_w, stripe_h, three)
    if scratch_bytes > max(_STRIPE_BYTES, call.inputs[0].bytes + call.output.bytes):
        return None  # Mostly padding, as where taps lie far apart.
    geometry = [value for value in fields.values() if isinstance(value, int)]
    if max(*geometry, plane_w) > _INT16_MAX:
        return None
    stream = (pack_depthwise3 if three else pack_depthwise)(prepared)
    return dataclasses.replace(
        call,
        kernel=_DEPTHWISE_CONV2D,
        fields={
            **without(fields, "multiplier_c", "weights", "bias", "multipliers", "shifts"),
            "three": stream.shape[1] if three else 0,
            "plane_w": plane_w,
            "stripe_h": stripe_h,
            "packed": ConstantArray(stream),
        },
        overlaps=in_place_by_channels(call.inputs[0], call.output, vertical),
        scratch_bytes=scratch_bytes,
    )


def _limit_rows(call: KernelCall, heights: Collection[int]) -> KernelCall:
    """Return a depthwise convolution that widens the input of no more than some output rows at once."""
    fields = call.fields
    plane_w, stripe_h, three = integers(fields, "plane_w", "stripe_h", "three")
    stripe_h = min(stripe_h, max(heights))
    vertical = Window(*integers(fields, "stride_h", "dilation_h", "pad_top", "kernel_h"))
    scratch_bytes = _depthwise_scratch_bytes(vertical, plane_w, stripe_h, bool(three))
    return dataclasses.replace(call, fields={**fields, "stripe_h": stripe_h}, scratch_bytes=scratch_bytes)


def _depthwise_scratch_bytes(vertical: Window, plane_w: int, stripe_h: int, three: bool) -> int:
    return (_DEPTHWISE3_CONSTANT_BYTES if three else 0) + 8 * plane_w * _input_rows(vertical, stripe_h)


def _input_rows(vertical: Window, out_rows: int) -> int:
    return (out_rows - 1) * vertical.stride + (vertical.taps - 1) * vertical.dilation + 1


def _stripe_rows(vertical: Window, out_h: int, row_bytes: int) -> int:
    """Return how many output rows to compute at once: enough to forget what a stripe costs, few enough to be small."""
    fitting = (rows for rows in range(out_h, 1, -1) if row_bytes * _input_rows(vertical, rows) <= _STRIPE_BYTES)
    return next(fitting, 1)


def _fully_connected(call: KernelCall) -> KernelCall | None:
    batches, in_c, out_c, weights_zero_point = integers(call.fields, "batches", "in_c", "out_c", "weights_zero_point")
    if weights_zero_point != 0:
        return None
    packed = _pack(call.fields, values(call.fields, "weights").reshape(out_c, in_c), 1)
    return None if packed is None else _rows(call, packed, batches, in_c, out_c)


def _batch_matmul(call: KernelCall) -> KernelCall | None:
    fields = call.fields
    depth, rows, cols, multiplier, shift, output_zero_point = integers(
        fields, "depth", "rows", "cols", "multiplier", "shift", "output_zero_point"
    )
    largest = depth * 255 * 255
    requantisation = prepare_requantisation(multiplier, shift, output_zero_point, largest=largest)
    if depth > _MAX_BATCH_MATMUL_DEPTH or requantisation is None:
        return None
    steps = 2 * (-(-depth // 4) + 1)
    at_once = _PIXELS if rows >= _PIXELS else 1
    return dataclasses.replace(
        call,
        kernel=_BATCH_MATMUL,
        fields={
            **without(fields, "multiplier", "shift"),
            "steps": steps,
            "plain": int(requantisation.plain),
            "multiplier": requantisation.multiplier,
            "right_shift": requantisation.right_shift,
            "left_shift": requantisation.left_shift,
        },
        scratch_bytes=4 * ((5 + steps) * -(-cols // 2) + steps * at_once),
    )


def _add(call: KernelCall) -> KernelCall | None:
    fields = call.fields
    clamp_range = integers(fields, "output_min", "output_max")
    repeats = any(tensor.elements != call.output.elements for tensor in call.inputs)
    constant = fields["constant1"] is not None or fields["constant2"] is not None
    if repeats or constant or clamp_range != (-128, 127) or call.output.elements < _MIN_ADD_ELEMENTS:
        return None
    operands = [
        (position, *integers(fields, *(f"input{position}_{name}" for name in ("multiplier", "shift", "zero_point"))))
        for position in (1, 2)
    ]
    # The operand of the larger scale comes last: it has the multiplier 1/2.
    operands.sort(key=lambda operand: operand[1:3] == _HALF)
    (position, multiplier, shift, zero_point), (_, *exact_requantisation, exact_zero_point) = operands
    output_multiplier, output_shift, output_zero_point = integers(
        fields, "output_multiplier", "output_shift", "output_zero_point"
    )
    requantisation = prepare_requantisation(output_multiplier, output_shift, output_zero_point, largest=2**28)
    if tuple(exact_requantisation) != _HALF or requantisation is None or not requantisation.plain:
        return None
    return dataclasses.replace(
        call,
        kernel=_ADD,
        fields={
            "count": call.output.elements,
            "scaled_zero_point": zero_point,
            "scaled_multiplier": multiplier,
            "scaled_shift": shift,
            "exact_zero_point": exact_zero_point,
            "output_multiplier": requantisation.multiplier,
            "output_rounding": requantisation.rounding,
            "output_right_shift": requantisation.right_shift,
        },
        inputs=call.inputs if position == 1 else call.inputs[::-1],
        overlaps=in_place(call.output, *call.inputs),
        scratch_bytes=_ADD_TABLE_BYTES,
    )


def _rows(call: KernelCall, packed: PackedFilters, rows: int, in_c: int, out_c: int) -> KernelCall:
    at_once = _PIXELS if rows >= _PIXELS else 1
    return dataclasses.replace(
        call,
        kernel=_FULLY_CONNECTED,
        fields={
            "batches": rows,
            "in_c": in_c,
            "out_c": out_c,
            **{name: call.fields[name] for name in ("output_zero_point", "output_min", "output_max")},
            "plain": int(packed.plain),
            "packed": ConstantArray(packed.stream),
        },
        scratch_bytes=8 * packed.words * at_once,
    )


def _pack(fields: Fields, filters: np.ndarray, groups: int) -> PackedFilters | None:
    prepared = _prepare(fields, filters)
    return None if prepared is None else pack_filters(prepared, groups)


def _prepare(fields: Fields, filters: np.ndarray) -> RequantisedFilters | None:
    bias = fields["bias"]
    input_zero_point, output_zero_point, output_min, output_max = integers(
        fields, "input_zero_point", "output_zero_point", "output_min", "output_max"
    )
    return prepare_filters(
        filters,
        np.zeros(len(filters), np.int64) if bias is None else values(fields, "bias"),
        values(fields, "multipliers"),
        values(fields, "shifts"),
        input_zero_point=input_zero_point,
        output_zero_point=output_zero_point,
        full_range=(output_min, output_max) == (-128, 127),
    )


def _narrow_windowed(call: KernelCall) -> StripeForm | None:
    return windowed(call, kind="int16_t")


_CONV2D = Kernel("te_conv2d_s8_dsp", "te_conv2d_dsp_params", "dsp", stripes=windowed, has_window=True)
_DEPTHWISE_CONV2D = Kernel(
    "te_depthwise_conv2d_s8_dsp",
    "te_depthwise_conv2d_dsp_params",
    "dsp",
    stripes=_narrow_windowed,
    fit=_limit_rows,
    loads_rows=True,
)
_BATCH_MATMUL = Kernel("te_batch_matmul_s8_dsp", "te_batch_matmul_dsp_params", "dsp")
_ADD = Kernel("te_add_s8_dsp", "te_add_dsp_params", "dsp", stripes=counted, prepares_table=True)
_FULLY_CONNECTED = Kernel("te_fully_connected_s8_dsp", "te_fully_connected_dsp_params", "dsp", stripes=pixelwise)

_VARIANTS: dict[Kernel, Callable[[KernelCall], KernelCall | None]] = {
    ADD_KERNELS["s8"]: _add,
    BATCH_MATMUL_KERNELS["s8"]: _batch_matmul,
    CONV_2D_KERNELS["s8"]: _conv2d,
    DEPTHWISE_CONV_2D_KERNELS["s8"]: _depthwise_conv2d,
    FULLY_CONNECTED_KERNEL: _fully_connected,
}
