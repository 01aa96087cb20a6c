"""The DSP extension of Armv7E-M and Armv8-M: two 16-bit multiply-accumulates an instruction."""

import dataclasses
import itertools
from collections.abc import Callable, Collection

import numpy as np

from tinyedge.compiler.kernels.convolution_forms import (
    FILTERS,
    along_rows,
    as_convolution,
    dense_filters,
    depthwise_filters,
    is_pointwise,
    packed_by_group,
    with_filters,
)
from tinyedge.compiler.kernels.dsp_int4 import RAISED, choose_int4
from tinyedge.compiler.kernels.dsp_int16 import NarrowFilters, narrow_sums, pack_int16_filters
from tinyedge.compiler.kernels.dsp_packing import (
    PackedFilters,
    Requantisation,
    RequantisedFilters,
    pack_depthwise3,
    pack_filters,
    pack_one,
    pack_rows,
    pack_taps,
    pack_whole,
    pack_winograd,
    prepare_filters,
    prepare_requantisation,
    raise_sums,
)
from tinyedge.ops.add import KERNELS as ADD_KERNELS
from tinyedge.ops.batch_matmul import KERNELS as BATCH_MATMUL_KERNELS
from tinyedge.ops.conv2d import KERNELS as CONV_2D_KERNELS
from tinyedge.ops.depthwise_conv2d import KERNELS as DEPTHWISE_CONV_2D_KERNELS
from tinyedge.ops.fields import integers, numbers, values, without
from tinyedge.ops.fully_connected import KERNEL as FULLY_CONNECTED_KERNEL
from tinyedge.ops.kernel_call import ConstantArray, Fields, Kernel, KernelCall, StripeForm, Varying
from tinyedge.ops.mean import KERNELS as MEAN_KERNELS
from tinyedge.ops.mul import KERNELS as MUL_KERNELS
from tinyedge.ops.overlap import in_place, in_place_by_channels, pixel_lag, row_lag
from tinyedge.ops.pool import KERNELS as POOL_KERNELS
from tinyedge.ops.rules import type_range
from tinyedge.ops.stripes import broadcast, counted, pixelwise, windowed
from tinyedge.ops.transpose_conv import KERNELS as TRANSPOSE_CONV_KERNELS
from tinyedge.ops.unidirectional_sequence_lstm import INT8_KERNEL as LSTM_KERNEL
from tinyedge.ops.window import Window

# Pixels that one pass over the filters computes, as in te_gemm_block_dsp.h.
_PIXELS = 4
# The sums of te_winograd_s8_dsp.h; patches and one of padding, for each input channel; tiles at once.
_WINOGRAD_SUMS_BYTES, _WINOGRAD_PATCH_BYTES, _WINOGRAD_TILES = 512, 144, 4
# Cycles of a Cortex-M4 with flash of five wait states: of the matrix product a step of four pixels and two channels,
# their requantisation, and a step of widening; of Winograd's a step of four tiles and two channels, a position of
# them, an output, and a step of a patch.
_STEP_CYCLES, _PAIR_CYCLES, _WIDENED_CYCLES = 19.5, 110, 9
# Of a step what its filters wait for flash, and what two blocks of four pixels take more for each pair of channels.
_FLASH_STEP_CYCLES, _BLOCK_CYCLES = 2.5, 30
# What the cache for data of an STM32L4 holds of a pair's filters beside the rest.
_CACHED_BYTES = 208
_WINOGRAD_STEP_CYCLES, _WINOGRAD_POSITION_CYCLES, _WINOGRAD_OUTPUT_CYCLES, _WINOGRAD_PATCH_CYCLES = 21, 32, 24, 100
# Four te_depthwise3_channel.
_DEPTHWISE3_CONSTANT_BYTES = 160
# What the widened input of some output rows may take where a single one does not take more.
_STRIPE_BYTES = 3072
# What the widened rows under a window of a convolution of few channels may take.
_ROWS_BYTES = 1024
# The same for speed, and what a row of a window costs less then.
_WIDE_ROWS_BYTES, _GATHERED_ROW_CYCLES = 6144, 40
# Then the sum of a row of int8 values fits 16 bits.
_MAX_BATCH_MATMUL_DEPTH = 255
# Then the sum of a window of int8 values fits 16 bits.
_MAX_AVERAGE_POOL_WINDOW = 256
_ADD_TABLE_BYTES = 1024
# Two values with 20 bits of headroom.
_LARGEST_ADD_SUM = 2 * 255 * 2**20
# Fewer are not worth a table.
_MIN_ADD_ELEMENTS = 128
# The structs of depthwise convolutions have sizes of 16 bits.
_INT16_MAX = 2**15 - 1
# What the packed filters of a depthwise convolution replace.
_UNPACKED = ("multiplier_c", *FILTERS)
# Right shifts of sums of 2^30 at most, which half a unit more keeps within 32 bits.
_INT16_SUM_SHIFTS = range(1, 30)
# (multiplier, shift) of the multiplier 1/2.
_HALF = (2**30, 0)


SUMS_TOO_LARGE = "sums may reach 2^30, beyond which the instructions do not round as the reference does"
"""Why a call keeps its kernel where `prepare_filters` has no constants for it."""

SCALE_TOO_SMALL = "its output's scale is less than half of what the sums need"
"""Why a sum keeps its kernel."""

PRODUCTS_TOO_LARGE = "its products are multiplied by 1/2 or more"
"""Why a product of two activations keeps its kernel."""

MEANS_NOT_OVER_PIXELS = "its means are not over all pixels of an image"
"""Why a mean keeps its kernel."""

SUMS_TOO_LARGE_FOR_32_BITS = "its sums may not fit 32 bits, or are multiplied by 1/2 or more, or by less than 2^-18"
"""Why a depthwise convolution of int16 values keeps its kernel."""


def use_dsp(call: KernelCall) -> KernelCall:
    """Return the call of the `_dsp` kernel with the same result, or the call itself where there is none."""
    choose = _VARIANTS.get(call.kernel)
    return call if choose is None else chosen(call, choose(call))


def hasten_dsp(portable: KernelCall, call: KernelCall, *, spend_flash: bool) -> KernelCall:
    """Return a call that takes less time than a `_dsp` kernel, and more scratch; or that call.

    Args:
        portable: The same as lowered.
        call: What `use_dsp` made of it.
        spend_flash: Whether it may also take more flash.
    """
    if call.kernel is _FULLY_CONNECTED:
        return _two_blocks(call)
    if call.kernel is not _CONV2D or not spend_flash:
        return call
    in_c, group_c = integers(portable.fields, "in_c", "group_c")
    return _winograd(portable, call) if in_c % 4 == 0 or group_c != in_c else _wide_rows(portable, call)


def chosen(call: KernelCall, choice: KernelCall | str) -> KernelCall:
    """Return the call that was chosen in place of another, or that one with the reason why none was."""
    return dataclasses.replace(call, kept_because=choice) if isinstance(choice, str) else choice


def _conv2d(call: KernelCall) -> KernelCall | str:
    call = along_rows(call)
    fields = call.fields
    in_h, in_w, in_c, out_h, out_w = integers(fields, "in_h", "in_w", "in_c", "out_h", "out_w")
    batches, out_c, group_c = integers(fields, "batches", "out_c", "group_c")
    prepared = _prepare(fields, dense_filters(fields))
    groups = in_c // group_c
    if prepared is None:
        return SUMS_TOO_LARGE
    packed = pack_filters(prepared, groups)
    if is_pointwise(fields):
        return _rows(call, packed, batches * in_h * in_w, in_c, out_c)
    if groups == 1 and in_c % 4 != 0:
        widened = _conv2d_rows(call, prepared)
        if widened is not None:
            return widened
    depth = 4 * packed.words
    at_once = _PIXELS if out_h * out_w >= _PIXELS else 1
    spare = group_c if group_c % 4 == 0 else depth * at_once
    filters = {"plain": int(packed.plain), **packed_by_group(packed.stream, groups)}
    return with_filters(call, _CONV2D, filters, 2 * depth * at_once + spare)


def _two_blocks(four: KernelCall) -> KernelCall:
    """Return a call that reads a pair of channels' filters for eight rows, or the one that reads them for four."""
    rows, in_c, out_c = integers(four.fields, "batches", "in_c", "out_c")
    steps = 2 * -(-in_c // 4)
    # The filters of a pair come from the cache the second time, unless they are too many for it.
    cached = _FLASH_STEP_CYCLES * steps if 4 * steps <= _CACHED_BYTES else 0.0
    saved = rows // (2 * _PIXELS) * out_c / 2 * (cached - _BLOCK_CYCLES)
    if saved <= 0 or out_c % 2 != 0 or not four.overlaps:
        return four
    return dataclasses.replace(
        four,
        fields={**four.fields, "blocks": 2},
        overlaps=pixel_lag(four.inputs[0], four.output, rows, 2 * _PIXELS),
        scratch_bytes=2 * four.scratch_bytes,
        smaller=four,
        saved_cycles=saved,
    )


def _winograd(portable: KernelCall, direct: KernelCall) -> KernelCall:
    """Return a 3x3 convolution by Winograd's algorithm; the direct one where it is as quick or has another form."""
    fields = portable.fields
    in_c, out_c, group_c, output_zero_point = integers(fields, "in_c", "out_c", "group_c", "output_zero_point")
    window = integers(fields, "kernel_h", "kernel_w", "stride_h", "stride_w", "dilation_h", "dilation_w")
    if window != (3, 3, 1, 1, 1, 1) or group_c != in_c or in_c % 4 != 0 or out_c % 2 != 0:
        return direct
    prepared = _prepare(fields, dense_filters(fields))
    if prepared is None or not prepared.plain:
        return direct
    made = dataclasses.replace(
        direct,
        kernel=_WINOGRAD,
        fields={
            **without(
                fields,
                *("group_c", "output_zero_point", "output_min", "output_max"),
                *FILTERS,
            ),
            "packed": ConstantArray(pack_winograd(prepared, output_zero_point)),
        },
        overlaps=row_lag(direct.inputs[0], direct.output, _vertical(fields), rows_at_once=2),
        scratch_bytes=_WINOGRAD_SUMS_BYTES + _WINOGRAD_PATCH_BYTES * in_c,
        smaller=direct,
    )
    return _winograd_by_rows(made, direct.output.shape[1:2])


def _wide_rows(portable: KernelCall, gathered: KernelCall) -> KernelCall:
    """Return a convolution of few channels that widens long rows, or the one that gathers windows where it cannot."""
    call = along_rows(portable)
    out_h, out_w, kernel_h = integers(call.fields, "out_h", "out_w", "kernel_h")
    prepared = _prepare(call.fields, dense_filters(call.fields))
    widened = None if prepared is None else _conv2d_rows(call, prepared, _WIDE_ROWS_BYTES)
    if widened is None:
        return gathered
    return dataclasses.replace(widened, smaller=gathered, saved_cycles=_GATHERED_ROW_CYCLES * out_h * out_w * kernel_h)


def _winograd_by_rows(call: KernelCall, heights: Collection[int]) -> KernelCall:
    """Return the call with what it saves where it makes so many rows at a time; the direct one if that is nothing."""
    in_c, out_w, out_c = integers(call.fields, "in_c", "out_w", "out_c")
    rows, steps = max(heights), in_c // 2
    tiles = -(-rows // 2) * -(-out_w // 2)
    groups = -(-tiles // _WINOGRAD_TILES)
    pairs = out_c // 2
    transformed = tiles * steps * _WINOGRAD_PATCH_CYCLES
    winograd = transformed + pairs * groups * (16 * (steps * _WINOGRAD_STEP_CYCLES + _WINOGRAD_POSITION_CYCLES))
    winograd += pairs * groups * 8 * _WINOGRAD_TILES * _WINOGRAD_OUTPUT_CYCLES
    fours = rows * out_w / _PIXELS
    direct = fours * 9 * steps * _WIDENED_CYCLES + pairs * fours * (9 * steps * _STEP_CYCLES + _PAIR_CYCLES)
    saved = (direct - winograd) * call.output.shape[1] / rows
    if saved <= 0 and call.smaller is not None:
        return call.smaller
    return dataclasses.replace(call, saved_cycles=saved)


def _conv2d_s16(call: KernelCall) -> KernelCall:
    call = along_rows(call)
    fields = call.fields
    out_h, out_w, in_c, group_c = integers(fields, "out_h", "out_w", "in_c", "group_c")
    filters = narrow_form(fields, dense_filters(fields))
    if filters is None:
        return dataclasses.replace(call, kernel=_CONV2D_S16)
    groups = in_c // group_c
    packed = pack_int16_filters(filters, groups)
    at_once = _PIXELS if out_h * out_w >= _PIXELS else 1
    columns_bytes = 4 * -(-filters.filters.shape[1] // 2) * at_once
    spare = 2 * group_c if group_c % 2 == 0 else columns_bytes
    return with_filters(call, _CONV2D_NARROW_S16, packed_by_group(packed, groups), columns_bytes + spare)


def _depthwise_conv2d_s16(call: KernelCall) -> KernelCall | str:
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


def narrow_form(fields: Fields, filters: np.ndarray) -> NarrowFilters | None:
    """Return filters (channels, depth) of int16 values with sums of 32 bits; None where these may not fit."""
    bias = fields["bias"]
    output_min, output_max = integers(fields, "output_min", "output_max")
    return narrow_sums(
        filters,
        np.zeros(len(filters), np.int64) if bias is None else values(fields, "bias"),
        values(fields, "multipliers"),
        values(fields, "shifts"),
        (output_min, output_max),
    )


def _conv2d_low_s16(call: KernelCall) -> KernelCall:
    return dataclasses.replace(call, kernel=_CONV2D_LOW_S16)


def _transpose_conv(call: KernelCall) -> KernelCall | str:
    fields = call.fields
    kernel_h, kernel_w, stride_h, stride_w, out_c, in_c = integers(
        fields, "kernel_h", "kernel_w", "stride_h", "stride_w", "out_c", "group_c"
    )
    weights, at, parts = values(fields, "weights"), 0, []
    for y, x in itertools.product(range(stride_h), range(stride_w)):
        depth = len(range(y, kernel_h, stride_h)) * len(range(x, kernel_w, stride_w)) * in_c
        filters = weights[at : at + out_c * depth].reshape(out_c, depth)
        at += out_c * depth
        packed = _pack(fields, filters if depth else np.zeros((out_c, 1), np.int8), 1)
        if packed is None:
            return SUMS_TOO_LARGE
        parts.append(packed)
    words = max(part.words for part in parts)
    sizes = [part.stream.size for part in parts]
    return dataclasses.replace(
        call,
        kernel=_TRANSPOSE_CONV,
        fields={
            **without(fields, "weights", "bias", "multipliers", "shifts", "group_c"),
            "words": words,
            "starts": ConstantArray(np.cumsum([0, *sizes[:-1]]).astype(np.int32)),
            "plain": ConstantArray(np.array([part.plain for part in parts], np.int8)),
            "packed": ConstantArray(np.concatenate([part.stream for part in parts])),
        },
        scratch_bytes=12 * _PIXELS * words,
    )


def _conv2d_rows(call: KernelCall, prepared: RequantisedFilters, most_bytes: int = _ROWS_BYTES) -> KernelCall | None:
    """Return a convolution of which rows are widened once for all windows on them; None where they take much memory."""
    fields = call.fields
    out_h, out_w, kernel_h, kernel_w, dilation_w, in_c = integers(
        fields, "out_h", "out_w", "kernel_h", "kernel_w", "dilation_w", "in_c"
    )
    vertical, line = _vertical(fields), _padded_w(fields) * in_c
    stripe_h = _stripe_rows(vertical, out_h, 2 * line, most_bytes)
    packed = pack_rows(prepared, kernel_h)
    columns_bytes = 8 * packed.words * (_PIXELS if out_h * out_w >= _PIXELS else 1)
    rows_bytes = 2 * line * _input_rows(vertical, stripe_h)
    if (dilation_w > 1 and kernel_w > 1) or rows_bytes > most_bytes:
        return None
    return dataclasses.replace(
        call,
        kernel=_CONV2D_ROWS,
        fields={
            **without(fields, "group_c", *FILTERS),
            "plain": int(packed.plain),
            "line": line,
            "stripe_h": stripe_h,
            "packed": ConstantArray(packed.stream),
        },
        scratch_bytes=columns_bytes + rows_bytes + 4,
    )


def _depthwise_conv2d(call: KernelCall) -> KernelCall | str:
    fields = call.fields
    in_c, multiplier_c = integers(fields, "in_c", "multiplier_c")
    if in_c == 1:
        return _conv2d(as_convolution(call))
    if multiplier_c != 1:
        return f"{multiplier_c} filters see each of {in_c} channels"
    prepared = _prepare(fields, depthwise_filters(fields))
    if prepared is None:
        return SUMS_TOO_LARGE
    if prepared.plain and in_c % 4 == 0 and _covers_rows(fields) and _is_short(fields):
        return _depthwise_whole(call, prepared)
    rows, _, _ = _lines(fields)
    if rows > 1 and not _is_plain(fields, prepared):
        # te_depthwise_taps_s8_dsp is C then, and slower, but for windows of one line.
        return f"each of its {rows} rows of taps is dilated, or its outputs are limited"
    return (_depthwise3 if prepared.plain and _is_three_by_three(fields) else _depthwise_taps)(call, prepared)


def _is_plain(fields: Fields, prepared: RequantisedFilters) -> bool:
    """Whether the taps of a line are neighbours, and the layer plain."""
    _, taps, dilation = _lines(fields)
    return prepared.plain and (dilation == 1 or taps == 1)


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


def _depthwise_conv2d_int4(call: KernelCall) -> KernelCall | str:
    """The same of weights from -8 to 7, whose scales leave right shifts below 1 more often."""
    fields = call.fields
    in_c, multiplier_c, output_zero_point, output_min, output_max = integers(
        fields, "in_c", "multiplier_c", "output_zero_point", "output_min", "output_max"
    )
    taps = values(fields, "weights").reshape(-1, in_c * multiplier_c)
    prepared = _prepare(fields, np.ascontiguousarray(taps.T))
    if prepared is None or in_c == 1 or multiplier_c != 1:
        return _depthwise_conv2d(call)
    may_raise = _is_three_by_three(fields) and (output_min, output_max) == (-128, 127)
    raised = raise_sums(prepared, output_zero_point) if may_raise else None
    if raised is None:
        return _depthwise_taps(call, prepared)
    made = _depthwise3(call, raised[0])
    if isinstance(made, str):
        return made
    return dataclasses.replace(made, fields={**made.fields, RAISED: ConstantArray(raised[1])})


def _covers_rows(fields: Fields) -> bool:
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
    fields = call.fields
    batches, in_h, in_w, in_c, out_h, output_zero_point = integers(
        fields, "batches", "in_h", "in_w", "in_c", "out_h", "output_zero_point"
    )
    kernel_h, stride_h, dilation_h = integers(fields, "kernel_h", "stride_h", "dilation_h")
    row = in_w * in_c
    return dataclasses.replace(
        call,
        kernel=_DEPTHWISE_WHOLE,
        fields={
            "batches": batches,
            "image_bytes": in_h * row,
            "windows": out_h,
            "window_bytes": stride_h * row,
            "pixels": kernel_h * in_w,
            "pixel_bytes": dilation_h * in_c,
            "channels": in_c,
            "packed": ConstantArray(pack_whole(prepared, output_zero_point)),
        },
        overlaps=in_place_by_channels(call.inputs[0], call.output, _vertical(fields)),
    )


def _depthwise3(call: KernelCall, prepared: RequantisedFilters) -> KernelCall | str:
    fields = call.fields
    vertical = _vertical(fields)
    plane_w = _padded_w(fields) + 1 & ~1
    stream = pack_depthwise3(prepared)
    extra: Fields = {"words": stream.shape[1], "plane_w": plane_w, "packed": ConstantArray(stream)}
    kept = without(fields, *_UNPACKED, "kernel_w", "dilation_w", "output_min", "output_max")
    made = dataclasses.replace(
        call,
        kernel=_DEPTHWISE3,
        fields={**kept, "stripe_h": _stripe_rows(vertical, call.output.shape[1], 8 * plane_w), **extra},
        overlaps=in_place_by_channels(call.inputs[0], call.output, vertical),
    )
    return _if_small(call, _with_depthwise3_scratch(made))


def _depthwise_taps(call: KernelCall, prepared: RequantisedFilters) -> KernelCall | str:
    fields = call.fields
    in_w, out_h = integers(fields, "in_w", "out_h")
    vertical = _vertical(fields)
    rows, taps, _ = _lines(fields)
    tall, plain = _is_tall(fields), _is_plain(fields, prepared)
    extra: Fields = {"plain": int(plain), "tall": int(tall), "packed": ConstantArray(pack_taps(prepared, rows, taps))}
    stripe_h = _stripe_rows(vertical, out_h, 8 * (in_w if tall else _padded_w(fields)))
    made = dataclasses.replace(
        call,
        kernel=_DEPTHWISE_TAPS,
        fields={**without(fields, *_UNPACKED), "line": 0, "stripe_h": stripe_h, **extra},
        overlaps=in_place_by_channels(call.inputs[0], call.output, vertical),
    )
    return _if_small(call, _with_depthwise_taps_scratch(made))


def _vertical(fields: Fields) -> Window:
    return Window(*integers(fields, "stride_h", "dilation_h", "pad_top", "kernel_h"))


def _padded_w(fields: Fields) -> int:
    """Columns of the input that a depthwise convolution reads, padding included."""
    in_w, out_w, kernel_w, stride_w, dilation_w, pad_left = integers(
        fields, "in_w", "out_w", "kernel_w", "stride_w", "dilation_w", "pad_left"
    )
    return max(pad_left + in_w, (out_w - 1) * stride_w + (kernel_w - 1) * dilation_w + 1)


def _if_small(portable: KernelCall, call: KernelCall) -> KernelCall | str:
    """Return a depthwise convolution whose widened input is of a sane size, and whose numbers fit its struct."""
    limit = max(_STRIPE_BYTES, portable.inputs[0].bytes + portable.output.bytes)
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
    rows = _input_rows(_vertical(call.fields), stripe_h)
    return dataclasses.replace(call, scratch_bytes=_DEPTHWISE3_CONSTANT_BYTES + 8 * plane_w * rows)


def _with_depthwise_taps_scratch(call: KernelCall) -> KernelCall:
    in_w, tall, stripe_h = integers(call.fields, "in_w", "tall", "stripe_h")
    rows = _input_rows(_vertical(call.fields), stripe_h)
    line, lines = (rows, in_w) if tall else (_padded_w(call.fields), rows)
    return dataclasses.replace(call, fields={**call.fields, "line": line}, scratch_bytes=8 * line * lines + 4)


def _input_rows(vertical: Window, out_rows: int) -> int:
    return (out_rows - 1) * vertical.stride + (vertical.taps - 1) * vertical.dilation + 1


def _stripe_rows(vertical: Window, out_h: int, row_bytes: int, limit: int = _STRIPE_BYTES) -> int:
    """Return how many output rows to compute at once: enough to forget what a stripe costs, few enough to be small."""
    fitting = (rows for rows in range(out_h, 1, -1) if row_bytes * _input_rows(vertical, rows) <= limit)
    return next(fitting, 1)


def _fully_connected(call: KernelCall) -> KernelCall | str:
    batches, in_c, out_c, weights_zero_point = integers(call.fields, "batches", "in_c", "out_c", "weights_zero_point")
    if weights_zero_point != 0:
        return f"its weights have the zero point {weights_zero_point}"
    prepared = _prepare(call.fields, dense_filters(call.fields))
    if prepared is None:
        return SUMS_TOO_LARGE
    if out_c == 1:
        return _fully_connected_one(call, prepared)
    return _rows(call, pack_filters(prepared, 1), batches, in_c, out_c)


def _fully_connected_one(call: KernelCall, prepared: RequantisedFilters) -> KernelCall:
    constants = {
        "bias": prepared.biases,
        "multiplier": prepared.multipliers,
        "right_shift": prepared.right_shifts,
        "left_shift": prepared.left_shifts,
    }
    kept = ("batches", "in_c", "output_zero_point", "output_min", "output_max")
    return dataclasses.replace(
        call,
        kernel=_FULLY_CONNECTED_ONE,
        fields={
            **{name: call.fields[name] for name in kept},
            **{name: int(value) for name, (value,) in constants.items()},
            "packed": ConstantArray(pack_one(prepared)),
        },
    )


def _batch_matmul(call: KernelCall) -> KernelCall | str:
    fields = call.fields
    depth, rows, cols, multiplier, shift, output_zero_point = integers(
        fields, "depth", "rows", "cols", "multiplier", "shift", "output_zero_point"
    )
    largest = depth * 255 * 255
    requantisation = prepare_requantisation(multiplier, shift, output_zero_point, largest=largest)
    if depth > _MAX_BATCH_MATMUL_DEPTH:
        return f"its sums have {depth} terms of at most {_MAX_BATCH_MATMUL_DEPTH}"
    if requantisation is None:
        return SUMS_TOO_LARGE
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


def _batch_matmul_s16(call: KernelCall) -> KernelCall:
    depth, cols, lhs_step, rhs_step = integers(call.fields, "depth", "cols", "lhs_depth_stride", "rhs_depth_stride")
    copied = (cols if rhs_step != 1 else 0) + (lhs_step != 1)
    return dataclasses.replace(call, kernel=_BATCH_MATMUL_S16, scratch_bytes=4 * -(-copied * depth // 2))


def _average_pool(call: KernelCall) -> KernelCall | str:
    kernel_h, kernel_w = integers(call.fields, "kernel_h", "kernel_w")
    if kernel_h * kernel_w > _MAX_AVERAGE_POOL_WINDOW:
        return f"its window is {kernel_h}x{kernel_w}, of more than {_MAX_AVERAGE_POOL_WINDOW} positions"
    return dataclasses.replace(call, kernel=_AVERAGE_POOL)


def _max_pool(call: KernelCall) -> KernelCall | str:
    return dataclasses.replace(call, kernel=_MAX_POOL)


def _add(call: KernelCall) -> KernelCall | str:
    multiplier, shift, zero_point = integers(call.fields, "output_multiplier", "output_shift", "output_zero_point")
    requantisation = prepare_requantisation(multiplier, shift, zero_point, largest=_LARGEST_ADD_SUM)
    if requantisation is None or not requantisation.plain:
        return SCALE_TOO_SMALL
    return _add_by_table(call, requantisation) or dataclasses.replace(call, kernel=_ADD_ROWS)


def _add_by_table(call: KernelCall, requantisation: Requantisation) -> KernelCall | None:
    """Return the sum of two activations of one shape, or None where it is another, or too small for a table."""
    operands = _operands_of_sum(call, ("multiplier", "shift", "zero_point"))
    if isinstance(operands, str) or call.output.elements < _MIN_ADD_ELEMENTS:
        return None
    (position, multiplier, shift, zero_point), (_, *exact_requantisation, exact_zero_point) = operands
    if tuple(exact_requantisation) != _HALF:
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


def _add_s16(call: KernelCall) -> KernelCall | str:
    operands = _operands_of_sum(call, ("multiplier", "shift"))
    if isinstance(operands, str):
        return operands
    (position, multiplier, shift), (_, *exact_requantisation) = operands
    output_multiplier, output_shift = integers(call.fields, "output_multiplier", "output_shift")
    rounded = -shift > 0
    if tuple(exact_requantisation) != _HALF or output_multiplier < _HALF[0] or -output_shift not in _INT16_SUM_SHIFTS:
        return SCALE_TOO_SMALL
    return dataclasses.replace(
        call,
        kernel=_ADD_S16,
        fields={
            "count": call.output.elements,
            "scaled_multiplier": multiplier,
            "scaled_right_shift": -shift,
            "scaled_half": 1 << -shift - 1 if rounded else 0,
            "scaled_sign": -1 if rounded else 0,
            "output_multiplier": 2 * output_multiplier - 2**32,
            "output_right_shift": -output_shift,
            "output_half": 1 << -output_shift - 1,
        },
        inputs=call.inputs if position == 1 else call.inputs[::-1],
        overlaps=in_place(call.output, *call.inputs),
    )


def _operands_of_sum(call: KernelCall, members: tuple[str, ...]) -> list[tuple[int, ...]] | str:
    """Return position and members of both operands of ADD, that of the larger scale last; or why no kernel takes them.

    The operand of the larger scale has the multiplier 1/2.
    """
    fields = call.fields
    low, high = integers(fields, "output_min", "output_max")
    repeats = any(tensor.elements != call.output.elements for tensor in call.inputs)
    if repeats or fields["constant1"] is not None or fields["constant2"] is not None:
        return "an operand is broadcast or constant"
    if (low, high) != type_range(call.output):
        return f"its outputs are limited to {low} ... {high}"
    operands = [(position, *integers(fields, *(f"input{position}_{name}" for name in members))) for position in (1, 2)]
    return sorted(operands, key=lambda operand: operand[1:3] == _HALF)


def _mul(call: KernelCall) -> KernelCall | str:
    multiplier, shift, output_zero_point = integers(call.fields, "multiplier", "shift", "output_zero_point")
    requantisation = prepare_requantisation(multiplier, shift, output_zero_point, largest=255 * 255)
    if requantisation is None or not requantisation.plain:
        return PRODUCTS_TOO_LARGE
    return dataclasses.replace(
        call,
        kernel=_MUL,
        fields={
            **without(call.fields, "output_zero_point", "multiplier", "shift"),
            "multiplier": requantisation.multiplier,
            "rounding": requantisation.rounding,
            "right_shift": requantisation.right_shift,
        },
    )


def _mul_s16(call: KernelCall) -> KernelCall | str:
    multiplier, shift = integers(call.fields, "multiplier", "shift")
    if multiplier < _HALF[0] or -shift not in _INT16_SUM_SHIFTS:
        return PRODUCTS_TOO_LARGE
    return dataclasses.replace(
        call,
        kernel=_MUL_S16,
        fields={
            **without(call.fields, "multiplier", "shift"),
            "multiplier": 2 * multiplier - 2**32,
            "half": 1 << -shift - 1,
            "right_shift": -shift,
        },
    )


def _mean(call: KernelCall) -> KernelCall | str:
    sizes = pixels_of_means(call.fields)
    if sizes is None:
        return MEANS_NOT_OVER_PIXELS
    batches, count, channels = sizes
    (input_zero_point,) = integers(call.fields, "input_zero_point")
    return dataclasses.replace(
        call,
        kernel=_MEAN,
        fields={
            "batches": batches,
            "count": count,
            "channels": channels,
            "offset": -input_zero_point * count,
            **{name: call.fields[name] for name in ("output_zero_point", "multiplier", "shift")},
        },
    )


def pixels_of_means(fields: Fields) -> tuple[int, int, int] | None:
    """Return batches, pixels and channels where MEAN or SUM is over all pixels of dense images; None elsewhere."""
    (outer, batches, channels), kept = numbers(fields, "kept_dims"), numbers(fields, "kept_strides")
    (*inner, count), (*_, step) = numbers(fields, "reduced_dims"), numbers(fields, "reduced_strides")
    image = count * channels
    dense = outer == 1 and inner == [1, 1] and kept[2] == 1 and step == channels and (batches == 1 or kept[1] == image)
    return (batches, count, channels) if dense else None


def _lstm(call: KernelCall) -> KernelCall:
    return dataclasses.replace(call, kernel=_LSTM)


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
            "blocks": 1,
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


def _whole_windowed(call: KernelCall) -> StripeForm | None:
    batches, window_bytes, pixels, pixel_bytes = integers(
        call.fields, "batches", "window_bytes", "pixels", "pixel_bytes"
    )
    _, _, in_w, in_c = call.inputs[0].shape
    window = Window(window_bytes // (in_w * in_c), pixel_bytes // in_c, pad_before=0, taps=pixels // in_w)
    return StripeForm(window, (Varying("windows", "out_h"),)) if batches == 1 else None


_CONV2D = Kernel("te_conv2d_s8_dsp", "te_conv2d_dsp_params", "dsp", stripes=windowed, has_window=True)
_WINOGRAD = Kernel(
    "te_conv2d_winograd_s8_dsp",
    "te_conv2d_winograd_dsp_params",
    "dsp",
    stripes=windowed,
    fit=_winograd_by_rows,
    has_window=True,
)
_CONV2D_S16 = Kernel("te_conv2d_s16_dsp", "te_conv2d_s16_params", "dsp", stripes=windowed, has_window=True)
_CONV2D_NARROW_S16 = Kernel(
    "te_conv2d_narrow_s16_dsp", "te_conv2d_narrow_s16_dsp_params", "dsp", stripes=windowed, has_window=True
)
_DEPTHWISE_NARROW_S16 = Kernel(
    "te_depthwise_conv2d_narrow_s16_dsp",
    "te_depthwise_conv2d_narrow_s16_dsp_params",
    "dsp",
    stripes=windowed,
    loads_rows=True,
    has_window=True,
)
_CONV2D_LOW_S16 = Kernel("te_conv2d_low_s16_dsp", "te_conv2d_s16_params", "dsp", stripes=windowed, has_window=True)
_TRANSPOSE_CONV = Kernel("te_transpose_conv_s8_dsp", "te_transpose_conv_dsp_params", "dsp", has_window=True)
_CONV2D_ROWS = Kernel(
    "te_conv2d_rows_s8_dsp",
    "te_conv2d_rows_dsp_params",
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
_DEPTHWISE_WHOLE = Kernel("te_depthwise_whole_s8_dsp", "te_depthwise_whole_dsp_params", "dsp", stripes=_whole_windowed)
_BATCH_MATMUL = Kernel("te_batch_matmul_s8_dsp", "te_batch_matmul_dsp_params", "dsp")
_BATCH_MATMUL_S16 = Kernel("te_batch_matmul_s16_dsp", "te_batch_matmul_s16_params", "dsp")
_AVERAGE_POOL = Kernel("te_average_pool_s8_dsp", "te_pool_params", "dsp", stripes=windowed)
_MAX_POOL = Kernel("te_max_pool_s8_dsp", "te_pool_params", "dsp", stripes=windowed)
_ADD = Kernel("te_add_s8_dsp", "te_add_dsp_params", "dsp", stripes=counted, prepares_table=True)
_ADD_ROWS = Kernel("te_add_rows_s8_dsp", "te_add_params", "dsp", stripes=broadcast)
_ADD_S16 = Kernel("te_add_s16_dsp", "te_add_s16_dsp_params", "dsp", stripes=counted)
_MUL = Kernel("te_mul_s8_dsp", "te_mul_dsp_params", "dsp", stripes=broadcast)
_MUL_S16 = Kernel("te_mul_s16_dsp", "te_mul_s16_dsp_params", "dsp", stripes=broadcast)
_MEAN = Kernel("te_mean_s8_dsp", "te_mean_dsp_params", "dsp")
_FULLY_CONNECTED = Kernel("te_fully_connected_s8_dsp", "te_fully_connected_dsp_params", "dsp", stripes=pixelwise)
_FULLY_CONNECTED_ONE = Kernel(
    "te_fully_connected_one_s8_dsp", "te_fully_connected_one_dsp_params", "dsp", stripes=pixelwise
)
_LSTM = Kernel("te_lstm_s8_dsp", "te_lstm_s8_params", "dsp", calls=(LSTM_KERNEL.function, *LSTM_KERNEL.calls))

_VARIANTS: dict[Kernel, Callable[[KernelCall], KernelCall | str]] = {
    ADD_KERNELS["s8"]: _add,
    ADD_KERNELS["s16"]: _add_s16,
    BATCH_MATMUL_KERNELS["s8"]: _batch_matmul,
    BATCH_MATMUL_KERNELS["s16"]: _batch_matmul_s16,
    CONV_2D_KERNELS["s8"]: _conv2d,
    CONV_2D_KERNELS["s4"]: choose_int4(CONV_2D_KERNELS["s8"], _conv2d),
    CONV_2D_KERNELS["s16"]: _conv2d_s16,
    CONV_2D_KERNELS["low_s16"]: _conv2d_low_s16,
    DEPTHWISE_CONV_2D_KERNELS["s8"]: _depthwise_conv2d,
    DEPTHWISE_CONV_2D_KERNELS["s16"]: _depthwise_conv2d_s16,
    DEPTHWISE_CONV_2D_KERNELS["s4"]: choose_int4(DEPTHWISE_CONV_2D_KERNELS["s8"], _depthwise_conv2d_int4),
    FULLY_CONNECTED_KERNEL: _fully_connected,
    LSTM_KERNEL: _lstm,
    MEAN_KERNELS["s8"]: _mean,
    MUL_KERNELS["s8"]: _mul,
    MUL_KERNELS["s16"]: _mul_s16,
    TRANSPOSE_CONV_KERNELS["s8"]: _transpose_conv,
    POOL_KERNELS["AVERAGE_POOL_2D"]["s8"]: _average_pool,
    POOL_KERNELS["MAX_POOL_2D"]["s8"]: _max_pool,
}
