"""The vector extension of Armv8.1-M (MVE, "Helium"): sixteen 8-bit multiply-accumulates an instruction."""

import dataclasses
import math
from collections.abc import Callable, Collection
from functools import partial

import numpy as np

from tinyedge.compiler.kernels.choice import chosen
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
from tinyedge.compiler.kernels.dsp import use_dsp
from tinyedge.compiler.kernels.dsp_depthwise import covers_rows, of_whole_rows, whole_windowed
from tinyedge.compiler.kernels.dsp_elementwise import (
    MEANS_NOT_OVER_PIXELS,
    PRODUCTS_TOO_LARGE,
    SCALE_TOO_SMALL,
    average_pool,
    pixels_of_means,
)
from tinyedge.compiler.kernels.dsp_functions import softmax_s16
from tinyedge.compiler.kernels.dsp_int16 import SUMS_TOO_LARGE_FOR_32_BITS, narrow_form
from tinyedge.compiler.kernels.dsp_products import batch_matmul_s16
from tinyedge.compiler.kernels.int4 import with_int8_weights
from tinyedge.compiler.kernels.mve_packing import (
    CHUNK,
    INT16_CHUNK,
    NO_CONSTANTS,
    RequantisedFilters,
    left_shift_of,
    narrow_filters,
    pack_depthwise,
    pack_depthwise_int4,
    pack_filters,
    pack_int16_filters,
    pack_lane_streams,
    pack_whole,
    pack_whole_int4,
    prepare_layer,
    prepare_requantisation,
)
from tinyedge.ops.add import KERNELS as ADD_KERNELS
from tinyedge.ops.add import SUB_KERNELS
from tinyedge.ops.batch_matmul import KERNELS as BATCH_MATMUL_KERNELS
from tinyedge.ops.conv2d import KERNELS as CONV_2D_KERNELS
from tinyedge.ops.depthwise_conv2d import KERNELS as DEPTHWISE_CONV_2D_KERNELS
from tinyedge.ops.fields import integers, values, without
from tinyedge.ops.fully_connected import KERNEL as FULLY_CONNECTED_KERNEL
from tinyedge.ops.kernel_call import ConstantArray, Fields, Kernel, KernelCall
from tinyedge.ops.mean import KERNELS as MEAN_KERNELS
from tinyedge.ops.mul import KERNELS as MUL_KERNELS
from tinyedge.ops.overlap import in_place, row_lag
from tinyedge.ops.pool import KERNELS as POOL_KERNELS
from tinyedge.ops.rescale import KERNELS as RESCALE_KERNELS
from tinyedge.ops.rules import type_range
from tinyedge.ops.softmax import KERNELS as SOFTMAX_KERNELS
from tinyedge.ops.stripes import broadcast, counted, pixelwise, windowed
from tinyedge.ops.table import KERNEL as TABLE_KERNEL
from tinyedge.ops.window import Window
from tinyedge.tflite.graph import Tensor

# Rows and columns of an image that one vector holds of a channel.
_WINDOW = 4
# Channels of a vector of int16 values.
_LANES = 8
# (multiplier, shift) of the multiplier 1/2.
_HALF = (2**30, 0)
_ALMOST_ONE = 2**31 - 1
# What kernels of rows keep of a portable call.
_OF_ROWS = ("dims", "strides1", "strides2", "output_min", "output_max", "constant1", "constant2")
# Offsets of eight values have 16 bits.
_MAX_GATHER_STRIDE = (2**16 - 1) // 7
# Then 16 times a sum of INT4 weights, and another sum, fit 32 bits.
_MAX_INT4_DEPTH = 2**16
# Then the sum of so many int8 values fits 16 bits.
_MAX_MEAN_COUNT = 255


def use_mve(call: KernelCall) -> KernelCall:
    """Return the call of the `_mve` kernel with the same result, else of the `_dsp` one, or the call itself."""
    choose = _VARIANTS.get(call.kernel)
    choice = use_dsp(call) if choose is None else choose(call)
    return choice if isinstance(choice, KernelCall) else chosen(use_dsp(call), choice)


def _conv2d(call: KernelCall) -> KernelCall | str:
    call = along_rows(call)
    fields = call.fields
    in_h, in_w, in_c = integers(fields, "in_h", "in_w", "in_c")
    batches, out_c, group_c = integers(fields, "batches", "out_c", "group_c")
    groups = in_c // group_c
    prepared = prepare_layer(fields, dense_filters(fields))
    if prepared is None:
        return NO_CONSTANTS
    if is_pointwise(fields):
        return _int8_rows(call, prepared, batches * in_h * in_w, in_c, out_c)
    packed = pack_filters(prepared, groups)
    scratch_bytes = 2 * _round_up(prepared.filters.shape[1], CHUNK)
    return with_filters(call, _CONV2D, packed_by_group(packed, groups), scratch_bytes, dropped=("output_zero_point",))


def _conv2d_int4(call: KernelCall) -> KernelCall | str:
    """The kernel of INT4 weights, or of int8 ones where two of them do not fit a byte as it takes them."""
    return _narrow_conv2d(with_int8_weights(call, CONV_2D_KERNELS["s8"]))


def _narrow_conv2d(call: KernelCall) -> KernelCall | str:
    """The same of the int8 kernel's call, whose weights have 4 bits."""
    made = _conv2d(call)
    if isinstance(made, str):
        return made
    stream = values(made.fields, "packed")
    depth = math.prod(integers(call.fields, "kernel_h", "kernel_w", "group_c"))
    narrow = narrow_filters(stream, -(-depth // CHUNK)) if depth <= _MAX_INT4_DEPTH else None
    if narrow is None:
        return made
    changed: Fields = {"packed": ConstantArray(narrow)}
    if "group_words" in made.fields:
        (group_words,) = integers(made.fields, "group_words")
        changed["group_words"] = group_words * narrow.size // stream.size
    return dataclasses.replace(made, kernel=_INT4[made.kernel], fields={**made.fields, **changed})


def _conv2d_s16(call: KernelCall) -> KernelCall | str:
    call = along_rows(call)
    fields = call.fields
    in_h, in_w, in_c, batches, out_c, group_c = integers(fields, "in_h", "in_w", "in_c", "batches", "out_c", "group_c")
    groups = in_c // group_c
    narrow = narrow_form(fields, dense_filters(fields))
    if narrow is None:
        return SUMS_TOO_LARGE_FOR_32_BITS
    packed = pack_int16_filters(narrow, groups)
    if not is_pointwise(fields):
        scratch_bytes = 4 * _round_up(narrow.filters.shape[1], INT16_CHUNK)
        filters = {"input_zero_point": 0, **packed_by_group(packed, groups)}
        return with_filters(call, _CONV2D_NARROW_S16, filters, scratch_bytes)
    scratch_bytes = 0 if in_c % INT16_CHUNK == 0 else 2 * _round_up(in_c, INT16_CHUNK)
    return _rows(call, _FULLY_CONNECTED_NARROW_S16, packed, (batches * in_h * in_w, in_c, out_c), scratch_bytes)


def _depthwise_conv2d(call: KernelCall) -> KernelCall | str:
    if integers(call.fields, "in_c") == (1,):
        return _conv2d(as_convolution(call))
    return _depthwise(call, (_DEPTHWISE_CONV2D, pack_depthwise), (_DEPTHWISE_WHOLE, pack_whole))


def _depthwise_conv2d_int4(call: KernelCall) -> KernelCall | str:
    call = with_int8_weights(call, DEPTHWISE_CONV_2D_KERNELS["s8"])
    if integers(call.fields, "in_c") == (1,):
        return _narrow_conv2d(as_convolution(call))
    return _depthwise(call, (_DEPTHWISE_CONV2D_INT4, pack_depthwise_int4), (_DEPTHWISE_WHOLE_INT4, pack_whole_int4))


def _depthwise(
    call: KernelCall,
    of_small: tuple[Kernel, Callable[[RequantisedFilters, tuple[int, int]], np.ndarray]],
    of_rows: tuple[Kernel, Callable[[RequantisedFilters], np.ndarray]],
) -> KernelCall | str:
    """The kernel of windows of up to 4x4 taps or that of whole rows, each with what packs its weights."""
    fields = call.fields
    in_c, out_h, multiplier_c = integers(fields, "in_c", "out_h", "multiplier_c")
    kernel = kernel_h, kernel_w = integers(fields, "kernel_h", "kernel_w")
    stride_h, stride_w, dilation_h, dilation_w, pad_top = integers(
        fields, "stride_h", "stride_w", "dilation_h", "dilation_w", "pad_top"
    )
    weights = depthwise_filters(fields)
    dilated = (kernel_h > 1 and dilation_h > 1) or (kernel_w > 1 and dilation_w > 1)
    if multiplier_c != 1:
        return f"{multiplier_c} filters see each of {in_c} channels"
    prepared = prepare_layer(fields, weights)
    if prepared is None:
        return NO_CONSTANTS
    if covers_rows(fields):
        kernel_of_rows, pack_rows = of_rows
        limits: Fields = {name: fields[name] for name in ("output_min", "output_max")}
        return of_whole_rows(call, kernel_of_rows, limits, pack_rows(prepared))
    if max(kernel) > _WINDOW or dilated:
        return f"its window is {'dilated' if dilated else f'{kernel_h}x{kernel_w}, beyond {_WINDOW}x{_WINDOW}'}"
    kernel_of_small, pack = of_small
    two_rows = max(kernel) < _WINDOW and stride_h == stride_w == 1
    kept = without(fields, "multiplier_c", "kernel_w", "dilation_h", "dilation_w")
    columns = _tile_columns({**kept, "two_rows": int(two_rows)}, [out_h])
    vertical = Window(stride_h, dilation_h, pad_top, kernel_h)
    return dataclasses.replace(
        call,
        kernel=kernel_of_small,
        fields={
            **without(kept, *FILTERS, "output_zero_point"),
            "two_rows": int(two_rows),
            "columns": columns,
            "packed": ConstantArray(pack(prepared, (kernel_h, kernel_w))),
        },
        overlaps=row_lag(call.inputs[0], call.output, vertical, 2 if two_rows else 1),
        scratch_bytes=_tile_bytes(columns),
    )


def _depthwise_conv2d_s16(call: KernelCall) -> KernelCall | str:
    fields = call.fields
    in_c, multiplier_c = integers(fields, "in_c", "multiplier_c")
    if in_c == 1:
        return _conv2d_s16(as_convolution(call))
    if multiplier_c != 1:
        return f"{multiplier_c} filters see each of {in_c} channels"
    narrow = narrow_form(fields, depthwise_filters(fields))
    if narrow is None:
        return SUMS_TOO_LARGE_FOR_32_BITS
    if in_c < _LANES:
        return f"it has {in_c} channels of at least {_LANES}"
    packed = pack_lane_streams(narrow, _LANES)
    return dataclasses.replace(
        call,
        kernel=_DEPTHWISE_NARROW_S16,
        fields={
            **without(fields, "multiplier_c", *FILTERS),
            "stream_words": packed.shape[1],
            "packed": ConstantArray(packed.ravel()),
        },
    )


def _fit_tile(call: KernelCall, heights: Collection[int]) -> KernelCall:
    """Return a depthwise convolution with the tile that it needs to make so many output rows at a time."""
    columns = _tile_columns(call.fields, heights)
    return dataclasses.replace(call, fields={**call.fields, "columns": columns}, scratch_bytes=_tile_bytes(columns))


def _tile_columns(fields: Fields, heights: Collection[int]) -> int:
    """How many columns of a tile are written or read where output rows are made so many at a time."""
    in_w, out_w, stride_w, pad_left, two_rows = integers(fields, "in_w", "out_w", "stride_w", "pad_left", "two_rows")
    # Four outputs of a row at a time, or two of each of two rows; then an odd row at the end is alone.
    alone = not two_rows or any(height % 2 for height in heights)
    last = max(_round_up(out_w, 2) - 2 if two_rows else 0, _round_up(out_w, 4) - 1 if alone else 0)
    return max(pad_left + in_w, last * stride_w + _WINDOW)


def _tile_bytes(columns: int) -> int:
    return 64 * columns + 16


def _fully_connected(call: KernelCall) -> KernelCall | str:
    batches, in_c, out_c, weights_zero_point = integers(call.fields, "batches", "in_c", "out_c", "weights_zero_point")
    if weights_zero_point != 0:
        return f"its weights have the zero point {weights_zero_point}"
    prepared = prepare_layer(call.fields, dense_filters(call.fields))
    return NO_CONSTANTS if prepared is None else _int8_rows(call, prepared, batches, in_c, out_c)


def _batch_matmul(call: KernelCall) -> KernelCall | str:
    fields = call.fields
    depth, cols, lhs_step, rhs_step = integers(fields, "depth", "cols", "lhs_depth_stride", "rhs_depth_stride")
    requantisation = prepare_requantisation(
        *integers(fields, "multiplier", "shift", "output_zero_point"), largest=depth * 255 * 255
    )
    if requantisation is None:
        return NO_CONSTANTS
    if (lhs_step != 1 and depth > 1) or not 0 <= rhs_step <= _MAX_GATHER_STRIDE:
        return "its left operand is transposed, or its right operand's rows are too far apart"
    whole = _round_up(depth, CHUNK)
    return dataclasses.replace(
        call,
        kernel=_BATCH_MATMUL,
        fields={
            **without(fields, "lhs_depth_stride", "multiplier", "shift", "output_zero_point"),
            "multiplier": requantisation.multiplier,
            "rounding": requantisation.rounding,
            "left_shift": 24 - requantisation.right_shift,
        },
        overlaps=(),
        scratch_bytes=_round_up(cols, 4) * (whole + 16) + 2 * whole,
    )


def _batch_matmul_s16(call: KernelCall) -> KernelCall | str:
    steps = integers(call.fields, "lhs_depth_stride", "rhs_depth_stride")
    if not all(0 <= step <= _MAX_GATHER_STRIDE for step in steps):
        return "an operand's values are too far apart"
    return dataclasses.replace(batch_matmul_s16(call), kernel=_BATCH_MATMUL_S16)


def _average_pool(call: KernelCall) -> KernelCall | str:
    pool = average_pool(call)
    return pool if isinstance(pool, str) else dataclasses.replace(pool, kernel=_AVERAGE_POOL)


def _max_pool(call: KernelCall) -> KernelCall:
    return dataclasses.replace(call, kernel=_MAX_POOL)


def _average_pool_s16(call: KernelCall) -> KernelCall | str:
    pool = average_pool(call)
    return pool if isinstance(pool, str) else dataclasses.replace(pool, kernel=_AVERAGE_POOL_S16)


def _max_pool_s16(call: KernelCall) -> KernelCall:
    return dataclasses.replace(call, kernel=_MAX_POOL_S16)


def _softmax(call: KernelCall) -> KernelCall:
    return dataclasses.replace(call, kernel=_SOFTMAX)


def _softmax_s16(call: KernelCall) -> KernelCall | str:
    softmax = softmax_s16(call)
    return softmax if isinstance(softmax, str) else dataclasses.replace(softmax, kernel=_SOFTMAX_S16)


def _rescale(call: KernelCall) -> KernelCall:
    return dataclasses.replace(call, kernel=_RESCALES[call.kernel])


def _table(call: KernelCall) -> KernelCall:
    return dataclasses.replace(call, kernel=_TABLE)


def _mean(call: KernelCall) -> KernelCall | str:
    sizes = pixels_of_means(call.fields)
    if sizes is None:
        return MEANS_NOT_OVER_PIXELS
    batches, count, channels = sizes
    input_zero_point, *multiplier_and_shift = integers(
        call.fields, "input_zero_point", "multiplier", "shift", "output_zero_point"
    )
    requantisation = prepare_requantisation(*multiplier_and_shift, largest=255 * count)
    if count > _MAX_MEAN_COUNT:
        return f"its means are over {count} values of at most {_MAX_MEAN_COUNT}"
    if requantisation is None:
        return NO_CONSTANTS
    return dataclasses.replace(
        call,
        kernel=_MEAN,
        fields={
            "batches": batches,
            "count": count,
            "channels": channels,
            "offset": -input_zero_point * count,
            "multiplier": requantisation.multiplier,
            "rounding": requantisation.rounding,
            "left_shift": 24 - requantisation.right_shift,
        },
        overlaps=(),
    )


def _mean_s16(call: KernelCall) -> KernelCall | str:
    sizes = pixels_of_means(call.fields)
    if sizes is None:
        return MEANS_NOT_OVER_PIXELS
    multiplier, shift = integers(call.fields, "multiplier", "shift")
    left_shift = left_shift_of(multiplier, shift)
    if left_shift > -1:
        return "its sums are multiplied by 1/2 or more"
    batches, count, channels = sizes
    return dataclasses.replace(
        call,
        kernel=_MEAN_S16,
        fields={
            "batches": batches,
            "count": count,
            "channels": channels,
            "multiplier": multiplier,
            "left_shift": left_shift,
        },
        overlaps=(),
    )


def _add(call: KernelCall, sign: int = 1) -> KernelCall | str:
    """The kernel of ADD in int8, or of SUB with the sign -1."""
    requantisation = prepare_requantisation(
        *integers(call.fields, "output_multiplier", "output_shift", "output_zero_point"), largest=2 * 255 * 2**19
    )
    operands = _scaled_operands(call, ("multiplier", "shift", "zero_point"))
    if requantisation is None or operands is None:
        return SCALE_TOO_SMALL
    left_shift = 24 - requantisation.right_shift
    aligned = None if sign < 0 else _aligned(call, operands)
    if aligned is None:
        constants = requantisation.multiplier, left_shift, requantisation.rounding
        return _sum_of_rows(call, _ADD_ROWS, sign, operands, constants, 2**20)
    inputs, (multiplier, scaled_left_shift, zero_point), (_, _, exact_zero_point) = aligned
    return dataclasses.replace(
        call,
        kernel=_ADD,
        fields={
            "count": call.output.elements,
            "scaled_offset": -zero_point * 2**20,
            "scaled_multiplier": multiplier,
            "scaled_left_shift": scaled_left_shift,
            "exact_offset": -exact_zero_point * 2**19,
            "output_rounding": requantisation.rounding,
            "output_multiplier": requantisation.multiplier,
            "output_left_shift": left_shift,
        },
        inputs=inputs,
        overlaps=in_place(call.output, *call.inputs),
    )


def _add_s16(call: KernelCall, sign: int = 1) -> KernelCall | str:
    """The kernel of ADD in int16, or of SUB with the sign -1."""
    output_multiplier, output_shift = integers(call.fields, "output_multiplier", "output_shift")
    output_shift = left_shift_of(output_multiplier, output_shift)
    operands = _scaled_operands(call, ("multiplier", "shift"))
    if output_shift > -1 or operands is None:
        return SCALE_TOO_SMALL
    aligned = None if sign < 0 else _aligned(call, operands)
    if aligned is None:
        return _sum_of_rows(call, _ADD_ROWS_S16, sign, operands, (output_multiplier, output_shift, 0), 0)
    inputs, (multiplier, left_shift), _ = aligned
    return dataclasses.replace(
        call,
        kernel=_ADD_S16,
        fields={
            "count": call.output.elements,
            "scaled_multiplier": multiplier,
            "scaled_left_shift": left_shift,
            "output_multiplier": output_multiplier,
            "output_left_shift": output_shift,
        },
        inputs=inputs,
        overlaps=in_place(call.output, *call.inputs),
    )


def _scaled_operands(call: KernelCall, members: tuple[str, ...]) -> list[tuple[int, ...]] | None:
    """Return these members of both operands of a sum, with right shifts; None where one has another shift.

    A multiplier of 1/2 is one of almost 1 and a right shift: it leaves a code times 2^20 as it is, and an int16 value
    times 2^15 too, but for a half which the shift rounds away.
    """
    operands = []
    for position in (1, 2):
        multiplier, shift, *rest = integers(call.fields, *(f"input{position}_{name}" for name in members))
        if (multiplier, shift) == _HALF:
            multiplier, shift = _ALMOST_ONE, -1
        shift = left_shift_of(multiplier, shift)
        if shift > -1:
            return None
        operands.append((multiplier, shift, *rest))
    return operands


def _aligned(
    call: KernelCall, operands: list[tuple[int, ...]]
) -> tuple[tuple[Tensor, ...], tuple[int, ...], tuple[int, ...]] | None:
    """Return the inputs of a sum of two activations of one shape, and both operands; None where the sum is another.

    The operand of the larger scale, whose multiplier is 1/2, is last.
    """
    fields = call.fields
    repeats = any(tensor.elements != call.output.elements for tensor in call.inputs)
    constant = fields["constant1"] is not None or fields["constant2"] is not None
    limited = integers(fields, "output_min", "output_max") != type_range(call.output)
    if repeats or constant or limited:
        return None
    first, second = operands
    if second[:2] == (_ALMOST_ONE, -1):
        return call.inputs, first, second
    return (call.inputs[::-1], second, first) if first[:2] == (_ALMOST_ONE, -1) else None


def _sum_of_rows(
    call: KernelCall,
    kernel: Kernel,
    sign: int,
    operands: list[tuple[int, ...]],
    constants: tuple[int, int, int],
    unit: int,
) -> KernelCall:
    scaled: Fields = {}
    for position, (multiplier, left_shift, *zero_point) in enumerate(operands, start=1):
        scaled[f"operand{position}.offset"] = -sum(zero_point) * unit
        scaled[f"operand{position}.multiplier"] = multiplier
        scaled[f"operand{position}.left_shift"] = left_shift
    multiplier, left_shift, rounding = constants
    return dataclasses.replace(
        call,
        kernel=kernel,
        fields={
            **{name: call.fields[name] for name in _OF_ROWS},
            **scaled,
            "sign": sign,
            "output_multiplier": multiplier,
            "output_left_shift": left_shift,
            "output_rounding": rounding,
        },
    )


def _mul(call: KernelCall) -> KernelCall | str:
    multiplier, shift, output_zero_point = integers(call.fields, "multiplier", "shift", "output_zero_point")
    requantisation = prepare_requantisation(multiplier, shift, output_zero_point, largest=255 * 255)
    if requantisation is None:
        return PRODUCTS_TOO_LARGE
    constants = requantisation.multiplier, requantisation.rounding, 24 - requantisation.right_shift
    return _product(call, _MUL, integers(call.fields, "input1_zero_point", "input2_zero_point"), constants)


def _mul_s16(call: KernelCall) -> KernelCall | str:
    multiplier, shift = integers(call.fields, "multiplier", "shift")
    shift = left_shift_of(multiplier, shift)
    return PRODUCTS_TOO_LARGE if shift > -1 else _product(call, _MUL_S16, (0, 0), (multiplier, 0, shift))


def _product(
    call: KernelCall, kernel: Kernel, zero_points: tuple[int, ...], constants: tuple[int, int, int]
) -> KernelCall:
    multiplier, rounding, left_shift = constants
    return dataclasses.replace(
        call,
        kernel=kernel,
        fields={
            **{name: call.fields[name] for name in _OF_ROWS},
            "input1_zero_point": zero_points[0],
            "input2_zero_point": zero_points[1],
            "multiplier": multiplier,
            "rounding": rounding,
            "left_shift": left_shift,
        },
    )


def _int8_rows(call: KernelCall, prepared: RequantisedFilters, rows: int, in_c: int, out_c: int) -> KernelCall:
    scratch_bytes = 0 if in_c % CHUNK == 0 else _round_up(in_c, CHUNK)
    return _rows(call, _FULLY_CONNECTED, pack_filters(prepared), (rows, in_c, out_c), scratch_bytes)


def _rows(
    call: KernelCall, kernel: Kernel, packed: np.ndarray, sizes: tuple[int, int, int], scratch_bytes: int
) -> KernelCall:
    rows, in_c, out_c = sizes
    return dataclasses.replace(
        call,
        kernel=kernel,
        fields={
            "batches": rows,
            "in_c": in_c,
            "out_c": out_c,
            **{name: call.fields[name] for name in ("output_min", "output_max")},
            "packed": ConstantArray(packed),
        },
        scratch_bytes=scratch_bytes,
    )


def _round_up(value: int, unit: int) -> int:
    return -(-value // unit) * unit


_CONV2D = Kernel("te_conv2d_s8_mve", "te_conv2d_mve_params", "mve", stripes=windowed, has_window=True)
_DEPTHWISE_CONV2D = Kernel(
    "te_depthwise_conv2d_s8_mve",
    "te_depthwise_conv2d_mve_params",
    "mve",
    stripes=windowed,
    fit=_fit_tile,
    loads_rows=True,
)
_DEPTHWISE_CONV2D_INT4 = dataclasses.replace(_DEPTHWISE_CONV2D, function="te_depthwise_conv2d_s4_mve")
_DEPTHWISE_WHOLE = Kernel("te_depthwise_whole_s8_mve", "te_depthwise_whole_mve_params", "mve", stripes=whole_windowed)
_DEPTHWISE_WHOLE_INT4 = dataclasses.replace(_DEPTHWISE_WHOLE, function="te_depthwise_whole_s4_mve")
_BATCH_MATMUL = Kernel("te_batch_matmul_s8_mve", "te_batch_matmul_mve_params", "mve")
_BATCH_MATMUL_S16 = Kernel("te_batch_matmul_s16_mve", "te_batch_matmul_s16_params", "mve")
_AVERAGE_POOL = Kernel("te_average_pool_s8_mve", "te_pool_params", "mve", stripes=windowed)
_MAX_POOL = Kernel("te_max_pool_s8_mve", "te_pool_params", "mve", stripes=windowed)
_AVERAGE_POOL_S16 = Kernel("te_average_pool_s16_mve", "te_pool_params", "mve", stripes=windowed)
_MAX_POOL_S16 = Kernel("te_max_pool_s16_mve", "te_pool_params", "mve", stripes=windowed)
_SOFTMAX = Kernel("te_softmax_s8_mve", "te_softmax_params", "mve")
_SOFTMAX_S16 = Kernel("te_softmax_s16_mve", "te_softmax_s16_params", "mve")
_RESCALES = {
    portable: dataclasses.replace(portable, function=f"{portable.function}_mve", instruction_set="mve")
    for portable in RESCALE_KERNELS.values()
}
_TABLE = Kernel("te_table_s8_mve", "te_table_params", "mve", stripes=counted)
_MEAN = Kernel("te_mean_s8_mve", "te_mean_mve_params", "mve")
_MEAN_S16 = Kernel("te_mean_s16_mve", "te_mean_s16_mve_params", "mve")
_ADD = Kernel("te_add_s8_mve", "te_add_mve_params", "mve", stripes=counted)
_ADD_S16 = Kernel("te_add_s16_mve", "te_add_s16_mve_params", "mve", stripes=counted)
_ADD_ROWS = Kernel("te_add_rows_s8_mve", "te_add_rows_mve_params", "mve", stripes=broadcast)
_ADD_ROWS_S16 = Kernel("te_add_rows_s16_mve", "te_add_rows_mve_params", "mve", stripes=broadcast)
_MUL = Kernel("te_mul_s8_mve", "te_mul_mve_params", "mve", stripes=broadcast)
_MUL_S16 = Kernel("te_mul_s16_mve", "te_mul_mve_params", "mve", stripes=broadcast)
_FULLY_CONNECTED = Kernel("te_fully_connected_s8_mve", "te_fully_connected_mve_params", "mve", stripes=pixelwise)
_INT4 = {
    kernel: dataclasses.replace(kernel, function=kernel.function.replace("_s8_", "_s4_"))
    for kernel in (_CONV2D, _FULLY_CONNECTED)
}
_CONV2D_NARROW_S16 = Kernel(
    "te_conv2d_narrow_s16_mve", "te_conv2d_mve_params", "mve", stripes=windowed, has_window=True
)
_FULLY_CONNECTED_NARROW_S16 = Kernel(
    "te_fully_connected_narrow_s16_mve", "te_fully_connected_mve_params", "mve", stripes=pixelwise
)
_DEPTHWISE_NARROW_S16 = Kernel(
    "te_depthwise_conv2d_narrow_s16_mve",
    "te_depthwise_conv2d_narrow_s16_mve_params",
    "mve",
    stripes=windowed,
    loads_rows=True,
    has_window=True,
)

_VARIANTS: dict[Kernel, Callable[[KernelCall], KernelCall | str]] = {
    ADD_KERNELS["s8"]: _add,
    ADD_KERNELS["s16"]: _add_s16,
    BATCH_MATMUL_KERNELS["s8"]: _batch_matmul,
    BATCH_MATMUL_KERNELS["s16"]: _batch_matmul_s16,
    CONV_2D_KERNELS["s8"]: _conv2d,
    CONV_2D_KERNELS["s16"]: _conv2d_s16,
    CONV_2D_KERNELS["s4"]: _conv2d_int4,
    DEPTHWISE_CONV_2D_KERNELS["s8"]: _depthwise_conv2d,
    DEPTHWISE_CONV_2D_KERNELS["s16"]: _depthwise_conv2d_s16,
    DEPTHWISE_CONV_2D_KERNELS["s4"]: _depthwise_conv2d_int4,
    FULLY_CONNECTED_KERNEL: _fully_connected,
    MEAN_KERNELS["s8"]: _mean,
    MEAN_KERNELS["s16"]: _mean_s16,
    MUL_KERNELS["s8"]: _mul,
    MUL_KERNELS["s16"]: _mul_s16,
    POOL_KERNELS["AVERAGE_POOL_2D"]["s8"]: _average_pool,
    POOL_KERNELS["MAX_POOL_2D"]["s8"]: _max_pool,
    POOL_KERNELS["AVERAGE_POOL_2D"]["s16"]: _average_pool_s16,
    POOL_KERNELS["MAX_POOL_2D"]["s16"]: _max_pool_s16,
    **dict.fromkeys(RESCALE_KERNELS.values(), _rescale),
    SOFTMAX_KERNELS["s8"]: _softmax,
    SOFTMAX_KERNELS["s16"]: _softmax_s16,
    SUB_KERNELS["s8"]: partial(_add, sign=-1),
    SUB_KERNELS["s16"]: partial(_add_s16, sign=-1),
    TABLE_KERNEL: _table,
}
