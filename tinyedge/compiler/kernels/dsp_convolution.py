"""Convolutions for the DSP extension: gathered windows, widened rows, Winograd's algorithm."""

import dataclasses
import itertools
from collections.abc import Collection
from functools import partial

import numpy as np

from tinyedge.compiler.costs import Costs
from tinyedge.compiler.kernels.convolution_forms import (
    FILTERS,
    along_rows,
    dense_filters,
    is_pointwise,
    packed_by_group,
    with_filters,
)
from tinyedge.compiler.kernels.dsp_int16 import narrow_form, pack_int16_filters
from tinyedge.compiler.kernels.dsp_layer import (
    PIXELS,
    SUMS_TOO_LARGE,
    input_rows,
    padded_w,
    prepare_call,
    stripe_rows,
    vertical_window,
)
from tinyedge.compiler.kernels.dsp_packing import (
    PackedFilters,
    RequantisedFilters,
    pack_filters,
    pack_rows,
    pack_winograd,
)
from tinyedge.compiler.kernels.dsp_products import BATCH_CODE_BYTES, in_blocks, matrix_product, takes_blocks
from tinyedge.ops.fields import integers, values, without
from tinyedge.ops.kernel_call import ConstantArray, Fields, Kernel, KernelCall
from tinyedge.ops.overlap import row_lag
from tinyedge.ops.stripes import windowed

# The sums of te_winograd_s8_dsp.h; patches and one of padding, for each input channel; tiles at once.
_WINOGRAD_SUMS_BYTES, _WINOGRAD_PATCH_BYTES, _WINOGRAD_TILES = 512, 144, 4
# Of the code that gathers four windows, a row of one, or a patch in the padding, what a small cache does not keep.
_WINDOWS_CODE_BYTES, _ROW_CODE_BYTES, _EDGE_CODE_BYTES = 1340, 110, 1400
# What a pair of channels has in the stream beside its filters, in words: directly, and by Winograd's algorithm.
_PAIR_WORDS, _WINOGRAD_PAIR_WORDS = 4, 8
# What the widened rows under a window of a convolution of few channels may take.
_ROWS_BYTES = 1024
# The same for speed.
_WIDE_ROWS_BYTES = 6144


def conv2d(call: KernelCall, *, condensed: bool = False) -> KernelCall | str:
    """The kernel of CONV_2D in int8, or why it keeps the portable one; where it is `condensed`, always the same one."""
    call = along_rows(call)
    fields = call.fields
    in_h, in_w, in_c, out_h, out_w = integers(fields, "in_h", "in_w", "in_c", "out_h", "out_w")
    batches, out_c, group_c = integers(fields, "batches", "out_c", "group_c")
    prepared = prepare_call(fields, dense_filters(fields))
    groups = in_c // group_c
    if prepared is None:
        return SUMS_TOO_LARGE
    packed = pack_filters(prepared, groups)
    if is_pointwise(fields) and not condensed:
        return matrix_product(call, packed, batches * in_h * in_w, in_c, out_c)
    if groups == 1 and not condensed and in_c % 4 != 0:
        widened = _conv2d_rows(call, prepared)
        if widened is not None:
            return widened
    depth = 4 * packed.words
    at_once = PIXELS if out_h * out_w >= PIXELS else 1
    spare = group_c if group_c % 4 == 0 else depth * at_once
    filters = {"plain": packed.plain, **packed_by_group(packed.stream, groups)}
    return with_filters(call, CONV2D, filters, 2 * depth * at_once + spare)


def winograd(portable: KernelCall, direct: KernelCall, costs: Costs) -> KernelCall:
    """Return a 3x3 convolution by Winograd's algorithm; the direct one where it is as quick or has another form."""
    fields = portable.fields
    in_c, out_c, group_c, output_zero_point = integers(fields, "in_c", "out_c", "group_c", "output_zero_point")
    window = integers(fields, "kernel_h", "kernel_w", "stride_h", "stride_w", "dilation_h", "dilation_w")
    if window != (3, 3, 1, 1, 1, 1) or group_c != in_c or in_c % 4 != 0 or out_c % 2 != 0:
        return direct
    prepared = prepare_call(fields, dense_filters(fields))
    if prepared is None or not prepared.plain:
        return direct
    made = dataclasses.replace(
        direct,
        kernel=dataclasses.replace(_WINOGRAD, fit=partial(_winograd_by_rows, costs=costs)),
        fields={
            **without(
                fields,
                *("group_c", "output_zero_point", "output_min", "output_max"),
                *FILTERS,
            ),
            "packed": ConstantArray(pack_winograd(prepared, output_zero_point)),
        },
        overlaps=row_lag(direct.inputs[0], direct.output, vertical_window(fields), rows_at_once=2),
        scratch_bytes=_WINOGRAD_SUMS_BYTES + _WINOGRAD_PATCH_BYTES * in_c,
        smaller=direct,
    )
    return _winograd_by_rows(made, direct.output.shape[1:2], costs)


def wide_rows(portable: KernelCall, gathered: KernelCall, costs: Costs) -> KernelCall:
    """Return a convolution of few channels that widens long rows, or the one that gathers windows where it cannot."""
    call = along_rows(portable)
    out_h, out_w, kernel_h = integers(call.fields, "out_h", "out_w", "kernel_h")
    prepared = prepare_call(call.fields, dense_filters(call.fields))
    widened = None if prepared is None else _conv2d_rows(call, prepared, _WIDE_ROWS_BYTES)
    if widened is None:
        return gathered
    saved = costs.products.gathered_row + costs.flash.code_wait * _ROW_CODE_BYTES
    return dataclasses.replace(widened, smaller=gathered, saved_cycles=saved * out_h * out_w * kernel_h)


def rows_in_blocks(four: KernelCall, costs: Costs) -> KernelCall:
    """Return a convolution of few channels that makes many pixels at once; its `smaller` one makes fewer."""
    fields = four.fields
    out_h, out_w, kernel_h, kernel_w, in_c, stripe_h = integers(
        fields, "out_h", "out_w", "kernel_h", "kernel_w", "in_c", "stripe_h"
    )
    at_once = stripe_h * out_w // PIXELS
    if not takes_blocks(four):
        return four
    steps = 2 * -(-kernel_h * -(-kernel_w * in_c // 2) // 2)
    made = dataclasses.replace(four, kernel=_CONV2D_ROWS_BLOCKS)
    return in_blocks(
        four,
        costs.flash,
        dataclasses.replace(costs.products, batch=costs.products.rows_batch),
        steps=steps,
        groups=-(-out_h // stripe_h) * at_once,
        at_once=at_once,
        code_bytes=BATCH_CODE_BYTES,
        make=lambda blocks: dataclasses.replace(
            made,
            fields={**fields, "blocks": blocks},
            scratch_bytes=four.scratch_bytes + 4 * PIXELS * steps * (blocks - 1),
        ),
    )


def _winograd_by_rows(call: KernelCall, heights: Collection[int], costs: Costs) -> KernelCall:
    """Return the call with what it saves where it makes so many rows at a time; the direct one if that is nothing."""
    in_c, out_w, out_h, out_c, pad_top = integers(call.fields, "in_c", "out_w", "out_h", "out_c", "pad_top")
    rows, steps, pairs = max(heights), in_c // 2, out_c // 2
    products, flash = costs.products, costs.flash
    down, across = -(-rows // 2), -(-out_w // 2)
    groups = -(-down * across // _WINOGRAD_TILES)
    # Of padded images the tiles at the border are gathered, above and below in the first stripe and the last one.
    inner = max(down - 2 * rows / out_h, 0) * max(across - 2, 0) if pad_top else down * across
    of_patches = down * across * steps * products.winograd_patch
    of_patches += (down * across - inner) * (products.winograd_edge + flash.code_wait * _EDGE_CODE_BYTES)
    words = 16 * 2 * steps + _WINOGRAD_PAIR_WORDS
    of_tiles = 16 * steps * products.winograd_step + products.winograd_pair
    winograd = of_patches + pairs * groups * (of_tiles + flash.wait(words, 4 * pairs * words))
    words = 9 * steps + _PAIR_WORDS
    of_windows = 9 * steps * products.widened + 3 * PIXELS * products.window_row + flash.code_wait * _WINDOWS_CODE_BYTES
    of_pixels = 9 * steps * products.step + products.pair + flash.wait(words, 4 * pairs * words)
    direct = rows * out_w / PIXELS * (of_windows + pairs * of_pixels)
    saved = (direct - winograd) * out_h / rows
    if saved <= 0 and call.smaller is not None:
        return call.smaller
    return dataclasses.replace(call, saved_cycles=saved)


def conv2d_s16(call: KernelCall) -> KernelCall:
    """The kernel of CONV_2D in 16x8: of 32-bit sums where they are proven to fit."""
    call = along_rows(call)
    fields = call.fields
    out_h, out_w, in_c, group_c = integers(fields, "out_h", "out_w", "in_c", "group_c")
    filters = narrow_form(fields, dense_filters(fields))
    if filters is None:
        return dataclasses.replace(call, kernel=_CONV2D_S16)
    groups = in_c // group_c
    packed = pack_int16_filters(filters, groups)
    at_once = PIXELS if out_h * out_w >= PIXELS else 1
    columns_bytes = 4 * -(-filters.filters.shape[1] // 2) * at_once
    spare = 2 * group_c if group_c % 2 == 0 else columns_bytes
    return with_filters(call, _CONV2D_NARROW_S16, packed_by_group(packed, groups), columns_bytes + spare)


def conv2d_low_s16(call: KernelCall) -> KernelCall:
    """The kernel of CONV_2D in 16x8 whose 64-bit sums are requantised by their low words."""
    return dataclasses.replace(call, kernel=_CONV2D_LOW_S16)


def transpose_conv(call: KernelCall) -> KernelCall | str:
    """The kernel of TRANSPOSE_CONV in int8, or why it keeps the portable one."""
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
        scratch_bytes=12 * PIXELS * words,
    )


def _conv2d_rows(call: KernelCall, prepared: RequantisedFilters, most_bytes: int = _ROWS_BYTES) -> KernelCall | None:
    """Return a convolution of which rows are widened once for all windows on them; None where they take much memory."""
    fields = call.fields
    out_h, out_w, kernel_h, kernel_w, dilation_w, in_c = integers(
        fields, "out_h", "out_w", "kernel_h", "kernel_w", "dilation_w", "in_c"
    )
    vertical, line = vertical_window(fields), padded_w(fields) * in_c
    stripe_h = stripe_rows(vertical, out_h, 2 * line, most_bytes)
    packed = pack_rows(prepared, kernel_h)
    columns_bytes = 8 * packed.words * (PIXELS if out_h * out_w >= PIXELS else 1)
    rows_bytes = 2 * line * input_rows(vertical, stripe_h)
    if (dilation_w > 1 and kernel_w > 1) or rows_bytes > most_bytes:
        return None
    return dataclasses.replace(
        call,
        kernel=CONV2D_ROWS,
        fields={
            **without(fields, "group_c", *FILTERS),
            "plain": packed.plain,
            "blocks": 1,
            "line": line,
            "stripe_h": stripe_h,
            "packed": ConstantArray(packed.stream),
        },
        scratch_bytes=columns_bytes + rows_bytes + 4,
    )


def _pack(fields: Fields, filters: np.ndarray, groups: int) -> PackedFilters | None:
    prepared = prepare_call(fields, filters)
    return None if prepared is None else pack_filters(prepared, groups)


CONV2D = Kernel("te_conv2d_s8_dsp", "te_conv2d_dsp_params", "dsp", stripes=windowed, has_window=True)
_WINOGRAD = Kernel(
    "te_conv2d_winograd_s8_dsp",
    "te_conv2d_winograd_dsp_params",
    "dsp",
    stripes=windowed,
    has_window=True,
)
_CONV2D_S16 = Kernel("te_conv2d_s16_dsp", "te_conv2d_s16_params", "dsp", stripes=windowed, has_window=True)
_CONV2D_NARROW_S16 = Kernel(
    "te_conv2d_narrow_s16_dsp", "te_conv2d_narrow_s16_dsp_params", "dsp", stripes=windowed, has_window=True
)
_CONV2D_LOW_S16 = Kernel("te_conv2d_low_s16_dsp", "te_conv2d_s16_params", "dsp", stripes=windowed, has_window=True)
_TRANSPOSE_CONV = Kernel("te_transpose_conv_s8_dsp", "te_transpose_conv_dsp_params", "dsp", has_window=True)
_CONV2D_ROWS_BLOCKS = Kernel(
    "te_conv2d_rows_blocks_s8_dsp",
    "te_conv2d_rows_dsp_params",
    "dsp",
    stripes=windowed,
    loads_rows=True,
    has_window=True,
)
CONV2D_ROWS = Kernel(
    "te_conv2d_rows_s8_dsp",
    "te_conv2d_rows_dsp_params",
    "dsp",
    stripes=windowed,
    loads_rows=True,
    has_window=True,
)
