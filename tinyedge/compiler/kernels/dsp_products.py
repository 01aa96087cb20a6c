"""Matrix products for the DSP extension."""

import dataclasses
from collections.abc import Callable

from tinyedge.compiler.costs import Costs, FlashCosts, ProductCosts
from tinyedge.compiler.kernels.convolution_forms import (
    dense_filters,
)
from tinyedge.compiler.kernels.dsp_layer import PIXELS, SUMS_TOO_LARGE, prepare_call
from tinyedge.compiler.kernels.dsp_packing import (
    PackedFilters,
    RequantisedFilters,
    pack_filters,
    pack_one,
    pack_row,
    prepare_requantisation,
)
from tinyedge.ops.fields import integers, values, without
from tinyedge.ops.kernel_call import ConstantArray, Kernel, KernelCall
from tinyedge.ops.overlap import pixel_lag
from tinyedge.ops.stripes import pixelwise
from tinyedge.ops.unidirectional_sequence_lstm import INT8_KERNEL as LSTM_KERNEL

# Words of the stream of a pair of channels beside its steps.
_PAIR_WORDS = 4
# Of the code that prepares columns and calls a product, what a small cache does not keep where the product uses all of
# its unrolled steps.
BATCH_CODE_BYTES, _UNROLLED_STEPS = 920, 8
# How many blocks of four pixels te_gemm_blocks_s8_dsp may make at once.
_BLOCKS = (2, 3, 4, 5, 6, 8, 12, 16)
# That te_fully_connected_row_s8_dsp makes at once.
_ROW_CHANNELS = 8
# Then the sum of a row of int8 values fits 16 bits.
_MAX_BATCH_MATMUL_DEPTH = 255


def two_blocks(four: KernelCall, costs: Costs) -> KernelCall:
    """Return a call that reads a pair of channels' filters for eight rows, or the one that reads them for four."""
    rows, in_c, out_c = integers(four.fields, "batches", "in_c", "out_c")
    if out_c % 2 != 0 or not four.overlaps:
        return four
    steps = 2 * -(-in_c // 4)
    again = _read_again(four, steps, costs.flash)
    of_batch = costs.products.batch + costs.flash.code_wait * _code_bytes(steps)
    saved = rows // (2 * PIXELS) * (out_c / 2 * (again - costs.products.two_blocks) + of_batch)
    if saved <= 0:
        return four
    return dataclasses.replace(
        four,
        fields={**four.fields, "blocks": 2},
        overlaps=pixel_lag(four.inputs[0], four.output, rows, 2 * PIXELS),
        scratch_bytes=2 * four.scratch_bytes,
        smaller=four,
        saved_cycles=saved,
    )


def many_blocks(four: KernelCall, costs: Costs) -> KernelCall:
    """Return a call that makes many rows of a pair of channels at once; its `smaller` one makes fewer."""
    rows, in_c = integers(four.fields, "batches", "in_c")
    steps = 2 * -(-in_c // 4)
    if not takes_blocks(four) or not four.overlaps:
        return two_blocks(four, costs)
    made = dataclasses.replace(four, kernel=_FULLY_CONNECTED_BLOCKS)
    return in_blocks(
        four,
        costs.flash,
        costs.products,
        steps=steps,
        groups=rows // PIXELS,
        at_once=rows // PIXELS,
        code_bytes=_code_bytes(steps),
        make=lambda blocks: dataclasses.replace(
            made,
            fields={**four.fields, "blocks": blocks},
            overlaps=pixel_lag(four.inputs[0], four.output, rows, blocks * PIXELS),
            scratch_bytes=blocks * four.scratch_bytes,
        ),
    )


def takes_blocks(four: KernelCall) -> bool:
    """Whether te_gemm_blocks_s8_dsp makes the outputs of a call of te_gemm4_s8_dsp."""
    out_c, plain = integers(four.fields, "out_c", "plain")
    return plain > 1 and out_c % 2 == 0


def in_blocks(
    four: KernelCall,
    flash: FlashCosts,
    products: ProductCosts,
    *,
    steps: int,
    groups: int,
    at_once: int,
    code_bytes: int,
    make: Callable[[int], KernelCall],
) -> KernelCall:
    """Return the quickest call of te_gemm_blocks_s8_dsp, with those of fewer blocks as its `smaller` ones.

    Args:
        four: Of te_gemm4_s8_dsp: the last of them, or what is left where none is quicker.
        flash: Costs of the board's.
        products: Costs of the board's processor.
        steps: Of a pair of channels.
        groups: Of four pixels, in all.
        at_once: The most of them that may be blocks of one call.
        code_bytes: What is not in a small cache after the blocks of the code that prepares their columns.
        make: Makes the call of so many blocks.
    """
    (out_c,) = integers(four.fields, "out_c")
    again = _read_again(four, steps, flash)
    of_four = products.batch + flash.code_wait * _code_bytes(steps)
    of_blocks = products.batch + flash.code_wait * code_bytes
    made = four
    for blocks in (blocks for blocks in _BLOCKS if blocks <= at_once):
        of_pair = products.blocks_less - products.blocks_pair / blocks + again * (1 - 1 / blocks)
        saved = out_c / 2 * of_pair + of_four - of_blocks / blocks
        saved_cycles = four.saved_cycles + groups * saved
        if saved_cycles > made.saved_cycles:
            made = dataclasses.replace(make(blocks), smaller=made, saved_cycles=saved_cycles)
    return made


def _code_bytes(steps: int) -> int:
    return BATCH_CODE_BYTES if steps >= _UNROLLED_STEPS else 0


def _read_again(four: KernelCall, steps: int, flash: FlashCosts) -> float:
    """What a pair of channels' filters wait less where they are read for the block of pixels after another."""
    words = steps + _PAIR_WORDS
    return flash.wait(words, values(four.fields, "packed").nbytes) - flash.wait(words, 4 * words)


def fully_connected(call: KernelCall) -> KernelCall | str:
    """The kernel of FULLY_CONNECTED in int8, or why it keeps the portable one."""
    batches, in_c, out_c, weights_zero_point = integers(call.fields, "batches", "in_c", "out_c", "weights_zero_point")
    if weights_zero_point != 0:
        return f"its weights have the zero point {weights_zero_point}"
    prepared = prepare_call(call.fields, dense_filters(call.fields))
    if prepared is None:
        return SUMS_TOO_LARGE
    if out_c == 1:
        return _fully_connected_one(call, prepared)
    return matrix_product(call, pack_filters(prepared, 1), batches, in_c, out_c)


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


def of_rows(call: KernelCall) -> KernelCall:
    """Return a matrix product of few rows that makes eight outputs of one at a time, or the call itself."""
    if call.kernel is not FULLY_CONNECTED:
        return call
    rows, in_c, out_c, plain = integers(call.fields, "batches", "in_c", "out_c", "plain")
    if rows >= PIXELS or out_c < _ROW_CHANNELS or plain < 2:
        return call
    packed = pack_row(values(call.fields, "packed"), -(-in_c // 4), out_c)
    return dataclasses.replace(
        call, kernel=FULLY_CONNECTED_ROW, fields={**call.fields, "packed": ConstantArray(packed)}
    )


def batch_matmul(call: KernelCall) -> KernelCall | str:
    """The kernel of BATCH_MATMUL in int8, or why it keeps the portable one."""
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
    at_once = PIXELS if rows >= PIXELS else 1
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


def batch_matmul_s16(call: KernelCall) -> KernelCall:
    """The kernel of BATCH_MATMUL in int16."""
    depth, cols, lhs_step, rhs_step = integers(call.fields, "depth", "cols", "lhs_depth_stride", "rhs_depth_stride")
    copied = (cols if rhs_step != 1 else 0) + (lhs_step != 1)
    return dataclasses.replace(call, kernel=_BATCH_MATMUL_S16, scratch_bytes=4 * -(-copied * depth // 2))


def lstm(call: KernelCall) -> KernelCall:
    """The kernel of UNIDIRECTIONAL_SEQUENCE_LSTM in int8."""
    return dataclasses.replace(call, kernel=_LSTM)


def matrix_product(call: KernelCall, packed: PackedFilters, rows: int, in_c: int, out_c: int) -> KernelCall:
    """The product of rows, of a 1x1 convolution too, with packed filters."""
    at_once = PIXELS if rows >= PIXELS else 1
    return dataclasses.replace(
        call,
        kernel=FULLY_CONNECTED,
        fields={
            "batches": rows,
            "in_c": in_c,
            "out_c": out_c,
            **{name: call.fields[name] for name in ("output_zero_point", "output_min", "output_max")},
            "plain": packed.plain,
            "blocks": 1,
            "packed": ConstantArray(packed.stream),
        },
        scratch_bytes=8 * packed.words * at_once,
    )


_BATCH_MATMUL = Kernel("te_batch_matmul_s8_dsp", "te_batch_matmul_dsp_params", "dsp")
_BATCH_MATMUL_S16 = Kernel("te_batch_matmul_s16_dsp", "te_batch_matmul_s16_params", "dsp")
FULLY_CONNECTED = Kernel("te_fully_connected_s8_dsp", "te_fully_connected_dsp_params", "dsp", stripes=pixelwise)
FULLY_CONNECTED_ROW = Kernel("te_fully_connected_row_s8_dsp", "te_fully_connected_dsp_params", "dsp", stripes=pixelwise)
_FULLY_CONNECTED_BLOCKS = Kernel(
    "te_fully_connected_blocks_s8_dsp", "te_fully_connected_dsp_params", "dsp", stripes=pixelwise
)
_FULLY_CONNECTED_ONE = Kernel(
    "te_fully_connected_one_s8_dsp", "te_fully_connected_one_dsp_params", "dsp", stripes=pixelwise
)
_LSTM = Kernel("te_lstm_s8_dsp", "te_lstm_s8_params", "dsp", calls=(LSTM_KERNEL.function, *LSTM_KERNEL.calls))
