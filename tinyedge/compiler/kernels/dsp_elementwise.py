"""Sums, products of activations, means and pools for the DSP extension."""

import dataclasses

from tinyedge.compiler.kernels.dsp_packing import (
    Requantisation,
    prepare_requantisation,
)
from tinyedge.ops.fields import integers, numbers, without
from tinyedge.ops.kernel_call import Fields, Kernel, KernelCall
from tinyedge.ops.overlap import in_place
from tinyedge.ops.rules import type_range
from tinyedge.ops.stripes import broadcast, counted, windowed
from tinyedge.tflite.graph import Tensor

# Then the sum of a window of int8 values fits 16 bits.
_MAX_AVERAGE_POOL_WINDOW = 256
_ADD_TABLE_BYTES = 1024
# Two values with 20 bits of headroom.
_LARGEST_ADD_SUM = 2 * 255 * 2**20
# Fewer are not worth a table.
_MIN_ADD_ELEMENTS = 128
# Right shifts of sums of 2^30 at most, which half a unit more keeps within 32 bits.
_INT16_SUM_SHIFTS = range(1, 30)
# What the operand of the larger scale has in a sum: half of its headroom.
_EXACT_UNIT = 2**19
# (multiplier, shift) of the multiplier 1/2.
_HALF = (2**30, 0)
SCALE_TOO_SMALL = "its output's scale is less than half of what the sums need"
"""Why a sum keeps its kernel."""
PRODUCTS_TOO_LARGE = "its products are multiplied by 1/2 or more"
"""Why a product of two activations keeps its kernel."""
MEANS_NOT_OVER_PIXELS = "its means are not over all pixels of an image"
"""Why a mean keeps its kernel."""


def average_pool(call: KernelCall) -> KernelCall | str:
    """The kernel of AVERAGE_POOL_2D in int8, or why it keeps the portable one."""
    kernel_h, kernel_w = integers(call.fields, "kernel_h", "kernel_w")
    if kernel_h * kernel_w > _MAX_AVERAGE_POOL_WINDOW:
        return f"its window is {kernel_h}x{kernel_w}, of more than {_MAX_AVERAGE_POOL_WINDOW} positions"
    return dataclasses.replace(call, kernel=_AVERAGE_POOL)


def max_pool(call: KernelCall) -> KernelCall | str:
    """The kernel of MAX_POOL_2D in int8."""
    return dataclasses.replace(call, kernel=_MAX_POOL)


def average_pool_s16(call: KernelCall) -> KernelCall | str:
    """The kernel of AVERAGE_POOL_2D in int16."""
    return dataclasses.replace(call, kernel=_AVERAGE_POOL_S16)


def max_pool_s16(call: KernelCall) -> KernelCall | str:
    """The kernel of MAX_POOL_2D in int16."""
    return dataclasses.replace(call, kernel=_MAX_POOL_S16)


def add(call: KernelCall, sign: int = 1) -> KernelCall | str:
    """The kernel of ADD in int8, or of SUB with the sign -1; or why it keeps the portable one."""
    multiplier, shift, zero_point = integers(call.fields, "output_multiplier", "output_shift", "output_zero_point")
    requantisation = prepare_requantisation(multiplier, shift, zero_point, largest=_LARGEST_ADD_SUM)
    if requantisation is None or not requantisation.plain:
        return SCALE_TOO_SMALL
    return _add_by_table(call, requantisation, sign) or dataclasses.replace(call, kernel=_ROWS[sign])


def _add_by_table(call: KernelCall, requantisation: Requantisation, sign: int) -> KernelCall | None:
    """Return the sum of two activations of one shape, or None where it is another, or too small for a table."""
    operands = operands_of_sum(call, ("multiplier", "shift", "zero_point"), sign)
    if isinstance(operands, str) or call.output.elements < _MIN_ADD_ELEMENTS:
        return None
    inputs, (scaled_sign, multiplier, shift, zero_point), (exact_sign, *exact, exact_zero_point) = operands
    if tuple(exact) != _HALF:
        return None
    return dataclasses.replace(
        call,
        kernel=_ADD,
        fields={
            "count": call.output.elements,
            "scaled_is_subtracted": int(scaled_sign < 0),
            "scaled_zero_point": zero_point,
            "scaled_multiplier": multiplier,
            "scaled_shift": shift,
            "exact_unit": exact_sign * _EXACT_UNIT,
            "exact_zero_point": exact_zero_point,
            "output_multiplier": requantisation.multiplier,
            "output_rounding": requantisation.rounding,
            "output_right_shift": requantisation.right_shift,
        },
        inputs=inputs,
        overlaps=in_place(call.output, *call.inputs),
        scratch_bytes=_ADD_TABLE_BYTES,
    )


def add_s16(call: KernelCall, sign: int = 1) -> KernelCall | str:
    """The kernel of ADD in int16, or of SUB with the sign -1; or why it keeps the portable one."""
    operands = operands_of_sum(call, ("multiplier", "shift"), sign)
    if isinstance(operands, str):
        return operands
    inputs, (scaled_sign, multiplier, shift), (_, *exact) = operands
    output_multiplier, output_shift = integers(call.fields, "output_multiplier", "output_shift")
    rounded = -shift > 0
    if tuple(exact) != _HALF or output_multiplier < _HALF[0] or -output_shift not in _INT16_SUM_SHIFTS:
        return SCALE_TOO_SMALL
    return dataclasses.replace(
        call,
        kernel=_SUMS_S16[sign],
        fields={
            "count": call.output.elements,
            "scaled_multiplier": multiplier,
            "scaled_right_shift": -shift,
            "scaled_half": 1 << -shift - 1 if rounded else 0,
            "scaled_sign": -1 if rounded else 0,
            "output_multiplier": 2 * output_multiplier - 2**32,
            "output_right_shift": -output_shift,
            "output_half": 1 << -output_shift - 1,
            "scaled_is_subtracted": int(scaled_sign < 0),
        },
        inputs=inputs,
        overlaps=in_place(call.output, *call.inputs),
    )


def operands_of_sum(
    call: KernelCall, members: tuple[str, ...], sign: int
) -> tuple[tuple[Tensor, ...], tuple[int, ...], tuple[int, ...]] | str:
    """Return both operands of ADD or SUB, and the sign and these members of each; or why no kernel takes them.

    That of the larger scale is last, and has the multiplier 1/2. The sign is that of the second operand of the file.
    """
    fields = call.fields
    low, high = integers(fields, "output_min", "output_max")
    repeats = any(tensor.elements != call.output.elements for tensor in call.inputs)
    if repeats or fields["constant1"] is not None or fields["constant2"] is not None:
        return "an operand is broadcast or constant"
    if (low, high) != type_range(call.output):
        return f"its outputs are limited to {low} ... {high}"
    first, second = (integers(fields, *(f"input{position}_{name}" for name in members)) for position in (1, 2))
    # Where both have it, the order of the file stays.
    swapped = first[:2] == _HALF and second[:2] != _HALF
    first, second = (1, *first), (sign, *second)
    return (call.inputs[::-1], second, first) if swapped else (call.inputs, first, second)


def mul(call: KernelCall) -> KernelCall | str:
    """The kernel of MUL in int8, or why it keeps the portable one."""
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


def mul_s16(call: KernelCall) -> KernelCall | str:
    """The kernel of MUL in int16, or why it keeps the portable one."""
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


def mean(call: KernelCall) -> KernelCall | str:
    """The kernel of MEAN and SUM in int8, or why they keep the portable one."""
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


_AVERAGE_POOL = Kernel("te_average_pool_s8_dsp", "te_pool_params", "dsp", stripes=windowed)
_AVERAGE_POOL_S16 = Kernel("te_average_pool_s16_dsp", "te_pool_params", "dsp", stripes=windowed)
_MAX_POOL = Kernel("te_max_pool_s8_dsp", "te_pool_params", "dsp", stripes=windowed)
_MAX_POOL_S16 = Kernel("te_max_pool_s16_dsp", "te_pool_params", "dsp", stripes=windowed)
_ADD = Kernel("te_add_s8_dsp", "te_add_dsp_params", "dsp", stripes=counted, prepares_table=True)
_ROWS = {
    1: Kernel("te_add_rows_s8_dsp", "te_add_params", "dsp", stripes=broadcast),
    -1: Kernel("te_sub_rows_s8_dsp", "te_add_params", "dsp", stripes=broadcast),
}
_SUMS_S16 = {
    1: Kernel("te_add_s16_dsp", "te_add_s16_dsp_params", "dsp", stripes=counted),
    -1: Kernel("te_sub_s16_dsp", "te_add_s16_dsp_params", "dsp", stripes=counted),
}
_MUL = Kernel("te_mul_s8_dsp", "te_mul_dsp_params", "dsp", stripes=broadcast)
_MUL_S16 = Kernel("te_mul_s16_dsp", "te_mul_s16_dsp_params", "dsp", stripes=broadcast)
_MEAN = Kernel("te_mean_s8_dsp", "te_mean_dsp_params", "dsp")
