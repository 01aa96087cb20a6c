"""Depthwise convolutions for the DSP extension."""

import dataclasses
from collections.abc import Collection

import numpy as np

from tinyedge.compiler.kernels.convolution_forms import (
    FILTERS,
    as_convolution,
    depthwise_filters,
)
from tinyedge.compiler.kernels.dsp_convolution import conv2d
from tinyedge.compiler.kernels.dsp_int4 import RAISED
from tinyedge.compiler.kernels.dsp_int16 import (
    SUMS_TOO_LARGE_FOR_32_BITS,
    narrow_form,
)
from tinyedge.compiler.kernels.dsp_layer import (
    STRIPE_BYTES,
    SUMS_TOO_LARGE,
    input_rows,
    padded_w,
    prepare_call,
    stripe_rows,
    vertical_window,
)
from tinyedge.compiler.kernels.dsp_packing import (
    RequantisedFilters,
    pack_depthwise3,
    pack_taps,
    pack_whole,
    raise_sums,
)
from tinyedge.ops.fields import integers, values, without
from tinyedge.ops.kernel_call import ConstantArray, Fields, Kernel, KernelCall, StripeForm, Varying
from tinyedge.ops.overlap import in_place_by_channels
from tinyedge.ops.stripes import windowed
from tinyedge.ops.window import Window

# Four te_depthwise3_channel.
_DEPTHWISE3_CONSTANT_BYTES = 160
# The structs of depthwise convolutions have sizes of 16 bits.
_INT16_MAX = 2**15 - 1
# What the packed filters of a depthwise convolution replace.
_UNPACKED = ("multiplier_c", *FILTERS)


def depthwise_conv2d_s16(call: KernelCall) -> KernelCall | str:
    """The kernel of DEPTHWISE_CONV_2D in 16x8, or why it keeps the portable one."""
    fields = call.fields
    in_c, kernel_h, kernel_w, multiplier_c = integers(fields, "in_c", "kernel_h", "kernel_w", "multiplier_c")
    filters = narrow_form(fields, depthwise_filters(fields))
    if multiplier_c != 1:
        return f"{multiplier_c} filters see each of {in_c} channels"
    if filters is None:
        return SUMS_TOO_LARGE_FOR_32_BITS
    weights = np.ascontiguousarray(filters.filters.T.reshape(kernel_h, kernel_w, in_c))
    return dataclasses.replace(
        call,
        kernel=_DEPTHWISE_NARROW_S16,
        fields={
            **without(fields, *_UNPACKED),
            "weights": ConstantArray(weights),
            "bias": ConstantArray(filters.biases.astype(np.int32)),
            "multipliers": ConstantArray(filters.multipliers.astype(np.int32)),
        },
    )


def depthwise_conv2d(call: KernelCall) -> KernelCall | str:
    """The kernel of DEPTHWISE_CONV_2D in int8, or why it keeps the portable one."""
    fields = call.fields
    in_c, multiplier_c = integers(fields, "in_c", "multiplier_c")
    if in_c == 1:
        return conv2d(as_convolution(call))
    if multiplier_c != 1:
        return f"{multiplier_c} filters see each of {in_c} channels"
    prepared = prepare_call(fields, depthwise_filters(fields))
    if prepared is None:
        return SUMS_TOO_LARGE
    if prepared.plain and in_c % 4 == 0 and covers_rows(fields) and _is_short(fields):
        return _depthwise_whole(call, prepared)
    rows, _, _ = _lines(fields)
    if rows > 1 and not _is_plain(fields, prepared):
        # te_depthwise_taps_s8_dsp is C then, and slower, but for windows of one line.
        return f"each of its {rows} rows of taps is dilated under a stride, or its outputs are limited"
    return (_depthwise3 if prepared.plain and _is_three_by_three(fields) else _depthwise_taps)(call, prepared)


def _is_plain(fields: Fields, prepared: RequantisedFilters) -> bool:
    """Whether the taps of a line are neighbours, or so among every d-th column, and the layer plain."""
    _, taps, dilation = _lines(fields)
    (stride_w,) = integers(fields, "stride_w")
    return prepared.plain and (dilation == 1 or taps == 1 or (stride_w == 1 and not _is_tall(fields)))


def _lines(fields: Fields) -> tuple[int, int, int]:
    """The lines of a window, the taps of a line, and how far these are apart."""
    kernel_h, kernel_w, dilation_h, dilation_w = integers(fields, "kernel_h", "kernel_w", "dilation_h", "dilation_w")
    return (1, kernel_h, dilation_h) if _is_tall(fields) else (kernel_h, kernel_w, dilation_w)


def _is_tall(fields: Fields) -> bool:
    """Whether lines are columns, as taps lie next to each other along the axis that has them."""
    in_w, out_w, kernel_w, stride_w, pad_left = integers(fields, "in_w", "out_w", "kernel_w", "stride_w", "pad_left")
    return kernel_w == 1 and pad_left == 0 and (out_w - 1) * stride_w < in_w


def _is_three_by_three(fields: Fields) -> bool:
    """Whether te_depthwise3_s8_dsp takes windows of this shape."""
    kernel_h, kernel_w, stride_w, dilation_w, out_w = integers(
        fields, "kernel_h", "kernel_w", "stride_w", "dilation_w", "out_w"
    )
    return (kernel_h, kernel_w, dilation_w) == (3, 3, 1) and stride_w in (1, 2) and out_w >= 2


def depthwise_conv2d_int4(call: KernelCall) -> KernelCall | str:
    """The same of weights from -8 to 7, whose scales leave right shifts below 1 more often."""
    fields = call.fields
    in_c, multiplier_c, output_zero_point, output_min, output_max = integers(
        fields, "in_c", "multiplier_c", "output_zero_point", "output_min", "output_max"
    )
    taps = values(fields, "weights").reshape(-1, in_c * multiplier_c)
    prepared = prepare_call(fields, np.ascontiguousarray(taps.T))
    if prepared is None or in_c == 1 or multiplier_c != 1:
        return depthwise_conv2d(call)
    may_raise = _is_three_by_three(fields) and (output_min, output_max) == (-128, 127)
    raised = raise_sums(prepared, output_zero_point) if may_raise else None
    if raised is None:
        return _depthwise_taps(call, prepared)
    made = _depthwise3(call, raised[0])
    if isinstance(made, str):
        return made
    return dataclasses.replace(made, fields={**made.fields, RAISED: ConstantArray(raised[1])})


def covers_rows(fields: Fields) -> bool:
    """Whether windows are whole rows of the image, without padding."""
    in_h, in_w, out_h, out_w, kernel_w, dilation_w, pad_left = integers(
        fields, "in_h", "in_w", "out_h", "out_w", "kernel_w", "dilation_w", "pad_left"
    )
    kernel_h, stride_h, dilation_h, pad_top = integers(fields, "kernel_h", "stride_h", "dilation_h", "pad_top")
    last_row = (out_h - 1) * stride_h + (kernel_h - 1) * dilation_h
    wide = (in_w, out_w, pad_left) == (kernel_w, 1, 0) and (dilation_w == 1 or kernel_w == 1)
    return wide and pad_top == 0 and last_row < in_h and (dilation_h == 1 or kernel_w == 1)


def _is_short(fields: Fields) -> bool:
    """Whether te_depthwise_whole_s8_dsp takes fewer instructions a channel than te_depthwise_taps_s8_dsp."""
    in_h, out_h, kernel_h, kernel_w = integers(fields, "in_h", "out_h", "kernel_h", "kernel_w")
    taps = kernel_h * kernel_w
    of_window = 10 + 1.75 * taps
    of_four = 47 + 4.25 * taps  # Windows whose values are widened, which takes 3 instructions each.
    return out_h * of_window <= 100 + 3 * in_h * kernel_w + -(-out_h // 4) * of_four


def _depthwise_whole(call: KernelCall, prepared: RequantisedFilters) -> KernelCall:
    (output_zero_point,) = integers(call.fields, "output_zero_point")
    return of_whole_rows(call, _DEPTHWISE_WHOLE, {}, pack_whole(prepared, output_zero_point))


def of_whole_rows(call: KernelCall, kernel: Kernel, limits: Fields, packed: np.ndarray) -> KernelCall:
    """Return the call of a kernel whose windows are whole rows of the image.

    Args:
        call: Of the portable kernel; `covers_rows` holds of its fields.
        kernel: The faster one.
        limits: Fields of it beside the geometry.
        packed: Its stream of weights and per-channel constants.
    """
    fields = call.fields
    batches, in_h, in_w, in_c, out_h = integers(fields, "batches", "in_h", "in_w", "in_c", "out_h")
    kernel_h, stride_h, dilation_h = integers(fields, "kernel_h", "stride_h", "dilation_h")
    row = in_w * in_c
    return dataclasses.replace(
        call,
        kernel=kernel,
        fields={
            "batches": batches,
            "image_bytes": in_h * row,
            "windows": out_h,
            "window_bytes": stride_h * row,
            "pixels": kernel_h * in_w,
            "pixel_bytes": dilation_h * in_c,
            "channels": in_c,
            **limits,
            "packed": ConstantArray(packed),
        },
        overlaps=in_place_by_channels(call.inputs[0], call.output, vertical_window(fields)),
    )


def _depthwise3(call: KernelCall, prepared: RequantisedFilters) -> KernelCall | str:
    fields = call.fields
    vertical = vertical_window(fields)
    plane_w = padded_w(fields) + 1 & ~1
    stream = pack_depthwise3(prepared)
    extra: Fields = {
        "quick": int(prepared.quick),
        "words": stream.shape[1],
        "plane_w": plane_w,
        "packed": ConstantArray(stream),
    }
    kept = without(fields, *_UNPACKED, "kernel_w", "dilation_w", "output_min", "output_max")
    made = dataclasses.replace(
        call,
        kernel=_DEPTHWISE3,
        fields={**kept, "stripe_h": stripe_rows(vertical, call.output.shape[1], 8 * plane_w), **extra},
        overlaps=in_place_by_channels(call.inputs[0], call.output, vertical),
    )
    return _if_small(call, _with_depthwise3_scratch(made))


def _depthwise_taps(call: KernelCall, prepared: RequantisedFilters) -> KernelCall | str:
    fields = call.fields
    in_w, out_h = integers(fields, "in_w", "out_h")
    vertical = vertical_window(fields)
    rows, taps, _ = _lines(fields)
    tall, plain = _is_tall(fields), _is_plain(fields, prepared)
    extra: Fields = {"plain": int(plain), "tall": int(tall), "packed": ConstantArray(pack_taps(prepared, rows, taps))}
    stripe_h = stripe_rows(vertical, out_h, 8 * (in_w if tall else _parted_w({**fields, **extra})))
    made = dataclasses.replace(
        call,
        kernel=_DEPTHWISE_TAPS,
        fields={**without(fields, *_UNPACKED), "line": 0, "stripe_h": stripe_h, **extra},
        overlaps=in_place_by_channels(call.inputs[0], call.output, vertical),
    )
    return _if_small(call, _with_depthwise_taps_scratch(made))


def _if_small(portable: KernelCall, call: KernelCall) -> KernelCall | str:
    """Return a depthwise convolution whose widened input is of a sane size, and whose numbers fit its struct."""
    limit = max(STRIPE_BYTES, portable.inputs[0].bytes + portable.output.bytes)
    if call.scratch_bytes > limit:  # Mostly padding, as where taps lie far apart.
        return f"its widened input takes {call.scratch_bytes} bytes of at most {limit}"
    largest = max(value for value in call.fields.values() if isinstance(value, int))
    return call if largest <= _INT16_MAX else f"one of its sizes is {largest} of at most {_INT16_MAX}"


def _limit_rows(call: KernelCall, heights: Collection[int]) -> KernelCall:
    """Return a depthwise convolution that widens the input of no more than some output rows at once."""
    (stripe_h,) = integers(call.fields, "stripe_h")
    limited = dataclasses.replace(call, fields={**call.fields, "stripe_h": min(stripe_h, max(heights))})
    return (_with_depthwise3_scratch if "plane_w" in call.fields else _with_depthwise_taps_scratch)(limited)


def _with_depthwise3_scratch(call: KernelCall) -> KernelCall:
    plane_w, stripe_h = integers(call.fields, "plane_w", "stripe_h")
    rows = input_rows(vertical_window(call.fields), stripe_h)
    return dataclasses.replace(call, scratch_bytes=_DEPTHWISE3_CONSTANT_BYTES + 8 * plane_w * rows)


def _with_depthwise_taps_scratch(call: KernelCall) -> KernelCall:
    in_w, tall, stripe_h = integers(call.fields, "in_w", "tall", "stripe_h")
    rows = input_rows(vertical_window(call.fields), stripe_h)
    line, lines = (rows, in_w) if tall else (_parted_w(call.fields), rows)
    return dataclasses.replace(call, fields={**call.fields, "line": line}, scratch_bytes=8 * line * lines + 4)


def _parted_w(fields: Fields) -> int:
    """Values of a padded row that is as many parts of the same length as its taps are apart."""
    plain, kernel_w, dilation_w = integers(fields, "plain", "kernel_w", "dilation_w")
    parts = dilation_w if plain and kernel_w > 1 else 1
    return -(-padded_w(fields) // parts) * parts


def _narrow_windowed(call: KernelCall) -> StripeForm | None:
    return windowed(call, kind="int16_t")


def whole_windowed(call: KernelCall) -> StripeForm | None:
    """The stripes of a kernel whose windows are whole rows of the image."""
    batches, window_bytes, pixels, pixel_bytes = integers(
        call.fields, "batches", "window_bytes", "pixels", "pixel_bytes"
    )
    _, _, in_w, in_c = call.inputs[0].shape
    window = Window(window_bytes // (in_w * in_c), pixel_bytes // in_c, pad_before=0, taps=pixels // in_w)
    return StripeForm(window, (Varying("windows", "out_h"),)) if batches == 1 else None


_DEPTHWISE_NARROW_S16 = Kernel(
    "te_depthwise_conv2d_narrow_s16_dsp",
    "te_depthwise_conv2d_narrow_s16_dsp_params",
    "dsp",
    stripes=windowed,
    loads_rows=True,
    has_window=True,
)
_DEPTHWISE3 = Kernel(
    "te_depthwise_conv2d_s8_dsp",
    "te_depthwise_conv2d_dsp_params",
    "dsp",
    stripes=_narrow_windowed,
    fit=_limit_rows,
    loads_rows=True,
)
_DEPTHWISE_TAPS = Kernel(
    "te_depthwise_taps_s8_dsp",
    "te_depthwise_taps_dsp_params",
    "dsp",
    stripes=_narrow_windowed,
    fit=_limit_rows,
    loads_rows=True,
)
_DEPTHWISE_WHOLE = Kernel("te_depthwise_whole_s8_dsp", "te_depthwise_whole_dsp_params", "dsp", stripes=whole_windowed)
