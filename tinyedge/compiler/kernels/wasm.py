"""WebAssembly's vectors of 128 bits: eight 16-bit multiply-accumulates an instruction."""

import dataclasses
from collections.abc import Callable

import numpy as np

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
from tinyedge.compiler.kernels.dsp_layer import input_rows, padded_w, vertical_window
from tinyedge.compiler.kernels.int4 import with_int8_weights
from tinyedge.compiler.kernels.wasm_packing import (
    LANES,
    NO_CONSTANTS,
    WasmLayer,
    by_eights,
    pack_constants,
    pack_filters,
    pack_taps,
    prepare_layer,
)
from tinyedge.ops.add import KERNELS as ADD_KERNELS
from tinyedge.ops.conv2d import KERNELS as CONV_2D_KERNELS
from tinyedge.ops.depthwise_conv2d import KERNELS as DEPTHWISE_CONV_2D_KERNELS
from tinyedge.ops.fields import integers, numbers, without
from tinyedge.ops.fully_connected import KERNEL as FULLY_CONNECTED_KERNEL
from tinyedge.ops.kernel_call import ConstantArray, Fields, Kernel, KernelCall
from tinyedge.ops.overlap import in_place
from tinyedge.ops.stripes import counted, pixelwise, windowed

# A pointer has four bytes in WebAssembly, and eight where the kernels run on a host.
_POINTER_BYTES = 8
# Pixels that one pass over the filters computes, as in te_gemm_wasm.h.
_PIXELS = 4
# Then the output's zero point above all fractional bits of a sum fits 64 bits beside it.
_LEAST_OUTPUT_SHIFT = -22
# (multiplier, shift) of the multiplier 1/2.
_HALF = (2**30, 0)


def use_wasm(call: KernelCall) -> KernelCall:
    """Return the call of the `_wasm` kernel with the same result, or the call itself where there is none."""
    choose = _VARIANTS.get(call.kernel)
    return call if choose is None else chosen(call, choose(call))


def _conv2d(call: KernelCall) -> KernelCall | str:
    call = along_rows(call)
    fields = call.fields
    layer = prepare_layer(fields, dense_filters(fields))
    if layer is None:
        return NO_CONSTANTS
    batches, in_h, in_w, in_c, group_c = integers(fields, "batches", "in_h", "in_w", "in_c", "group_c")
    if is_pointwise(fields):
        return _rows(call, layer, batches * in_h * in_w)
    kernel_h, kernel_w, dilation_w = integers(fields, "kernel_h", "kernel_w", "dilation_w")
    groups = in_c // group_c
    runs = kernel_h * (1 if groups == 1 and dilation_w == 1 else kernel_w)
    line = padded_w(fields) * in_c
    filters = len(layer.filters) // groups
    parts = [_part(layer, group * filters, filters) for group in range(groups)]
    streams = [pack_filters(part, runs) for part in parts]
    own: Fields = {
        "line": line,
        "shift": layer.shift,
        "group_bytes": streams[0].size,
        "packed": _joined(streams),
        "constants": _joined([pack_constants(part) for part in parts]),
    }
    scratch_bytes = _POINTER_BYTES * runs + 2 * line * input_rows(vertical_window(fields), 1) + 4
    return with_filters(call, CONV2D, own, scratch_bytes, dropped=("output_zero_point",))


def _conv2d_int4(call: KernelCall) -> KernelCall | str:
    return _conv2d(with_int8_weights(call, CONV_2D_KERNELS["s8"]))


def _depthwise_conv2d(call: KernelCall) -> KernelCall | str:
    fields = call.fields
    in_c, multiplier_c, kernel_h, kernel_w = integers(fields, "in_c", "multiplier_c", "kernel_h", "kernel_w")
    if in_c == 1:
        return _conv2d(as_convolution(call))
    if multiplier_c != 1:
        return f"{multiplier_c} filters see each of {in_c} channels"
    if in_c < LANES:
        return f"it has {in_c} channels of at least {LANES}"
    layer = prepare_layer(fields, depthwise_filters(fields))
    if layer is None:
        return NO_CONSTANTS
    taps = -(-kernel_h * kernel_w // 2) * 2
    whole = by_eights(layer)
    return dataclasses.replace(
        call,
        kernel=_DEPTHWISE_CONV2D,
        fields={
            **without(fields, "multiplier_c", "output_zero_point", *FILTERS),
            "taps": taps,
            "shift": layer.shift,
            "packed": ConstantArray(pack_taps(whole)),
            "constants": ConstantArray(pack_constants(whole)),
        },
        scratch_bytes=_POINTER_BYTES * taps + in_c,
    )


def _depthwise_conv2d_int4(call: KernelCall) -> KernelCall | str:
    return _depthwise_conv2d(with_int8_weights(call, DEPTHWISE_CONV_2D_KERNELS["s8"]))


def _fully_connected(call: KernelCall) -> KernelCall | str:
    batches, weights_zero_point = integers(call.fields, "batches", "weights_zero_point")
    if weights_zero_point != 0:
        return f"its weights have the zero point {weights_zero_point}"
    layer = prepare_layer(call.fields, dense_filters(call.fields))
    return NO_CONSTANTS if layer is None else _rows(call, layer, batches)


def _rows(call: KernelCall, layer: WasmLayer, rows: int) -> KernelCall:
    kept = {name: call.fields[name] for name in ("in_c", "out_c", "output_min", "output_max")}
    (in_c,) = integers(kept, "in_c")
    return dataclasses.replace(
        call,
        kernel=_FULLY_CONNECTED,
        fields={
            "batches": rows,
            **kept,
            "shift": layer.shift,
            "packed": ConstantArray(pack_filters(layer, 1)),
            "constants": ConstantArray(pack_constants(layer)),
        },
        scratch_bytes=2 * _PIXELS * (-(-in_c // 2) * 2),
    )


def _add(call: KernelCall) -> KernelCall | str:
    fields = call.fields
    dense = numbers(fields, "dims")[:3] == (1, 1, 1)
    steps = numbers(fields, "strides1")[3], numbers(fields, "strides2")[3]
    if not dense or steps != (1, 1) or fields["constant1"] is not None or fields["constant2"] is not None:
        return "an operand of it is broadcast or constant"
    first, second = 1, 2
    if integers(fields, "input2_multiplier", "input2_shift") != _HALF:
        first, second = second, first
    if integers(fields, f"input{second}_multiplier", f"input{second}_shift") != _HALF:
        return "neither of its operands has half the multiplier of the sum"
    if integers(fields, "output_shift")[0] < _LEAST_OUTPUT_SHIFT:
        return "its output's scale is too large beside its operands'"
    inputs = call.inputs[first - 1], call.inputs[second - 1]
    own = {
        "count": call.output.elements,
        "input1_zero_point": fields[f"input{first}_zero_point"],
        "input2_zero_point": fields[f"input{second}_zero_point"],
        "input1_multiplier": fields[f"input{first}_multiplier"],
        "input1_shift": fields[f"input{first}_shift"],
    }
    shared = ("output_zero_point", "output_multiplier", "output_shift", "output_min", "output_max")
    return dataclasses.replace(
        call,
        kernel=_ADD,
        inputs=inputs,
        fields={**own, **{name: fields[name] for name in shared}},
        overlaps=in_place(call.output, *inputs),
    )


def _part(layer: WasmLayer, first: int, count: int) -> WasmLayer:
    channels = slice(first, first + count)
    return dataclasses.replace(layer, filters=layer.filters[channels], constants=layer.constants[channels])


def _joined(streams: list[np.ndarray]) -> ConstantArray:
    return ConstantArray(np.concatenate(streams))


CONV2D = Kernel(
    "te_conv2d_s8_wasm", "te_conv2d_wasm_params", "wasm", stripes=windowed, loads_rows=True, has_window=True
)
_DEPTHWISE_CONV2D = Kernel(
    "te_depthwise_conv2d_s8_wasm", "te_depthwise_conv2d_wasm_params", "wasm", stripes=windowed, has_window=True
)
_FULLY_CONNECTED = Kernel("te_fully_connected_s8_wasm", "te_fully_connected_wasm_params", "wasm", stripes=pixelwise)
_ADD = Kernel("te_add_s8_wasm", "te_add_wasm_params", "wasm", stripes=counted)

_VARIANTS: dict[Kernel, Callable[[KernelCall], KernelCall | str]] = {
    ADD_KERNELS["s8"]: _add,
    CONV_2D_KERNELS["s4"]: _conv2d_int4,
    CONV_2D_KERNELS["s8"]: _conv2d,
    DEPTHWISE_CONV_2D_KERNELS["s4"]: _depthwise_conv2d_int4,
    DEPTHWISE_CONV_2D_KERNELS["s8"]: _depthwise_conv2d,
    FULLY_CONNECTED_KERNEL: _fully_connected,
}
