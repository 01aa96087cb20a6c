"""3x3 convolutions for WebAssembly by Winograd's algorithm: less than half the products, three times the weights."""

import dataclasses
from collections.abc import Collection
from functools import partial

import numpy as np

from tinyedge.compiler.costs import Costs
from tinyedge.compiler.kernels.convolution_forms import FILTERS, dense_filters
from tinyedge.compiler.kernels.dsp_layer import vertical_window
from tinyedge.compiler.kernels.int4 import with_int8_weights
from tinyedge.compiler.kernels.wasm import CONV2D
from tinyedge.compiler.kernels.wasm_packing import LANES, pack_constants, pack_winograd, prepare_layer
from tinyedge.ops.conv2d import KERNELS as CONV_2D_KERNELS
from tinyedge.ops.fields import integers, without
from tinyedge.ops.kernel_call import ConstantArray, Kernel, KernelCall
from tinyedge.ops.overlap import row_lag
from tinyedge.ops.stripes import windowed

# As in te_winograd_wasm.h; what a group of tiles has in scratch beside the patches and a pixel of padding.
_TILES, _POSITIONS, _SUMS_BYTES = 4, 16, 2048
# Where fewer groups read the filters, it matters more that they are larger.
_LEAST_GROUPS = 4
# To transform a value of a patch, and the sums of an output channel, in products that take as long.
_PATCH_PRODUCTS, _OUTPUT_PRODUCTS = 24, 41


def hasten_wasm(portable: KernelCall, direct: KernelCall, costs: Costs) -> KernelCall:
    """Return a 3x3 convolution by Winograd's algorithm; the direct one where it is as quick or has another form.

    Args:
        portable: The same as lowered.
        direct: What `use_wasm` made of it.
        costs: Of what it runs on.
    """
    if direct.kernel is not CONV2D or portable.kernel not in (CONV_2D_KERNELS["s8"], CONV_2D_KERNELS["s4"]):
        return direct
    if portable.kernel is CONV_2D_KERNELS["s4"]:
        portable = with_int8_weights(portable, CONV_2D_KERNELS["s8"])
    fields = portable.fields
    in_c, out_c, group_c = integers(fields, "in_c", "out_c", "group_c")
    window = integers(fields, "kernel_h", "kernel_w", "stride_h", "stride_w", "dilation_h", "dilation_w")
    if window != (3, 3, 1, 1, 1, 1) or group_c != in_c or in_c % LANES or out_c % LANES:
        return direct
    layer = prepare_layer(fields, dense_filters(fields))
    if layer is None or layer.largest_sum >= 2**29:  # Sums are four times as large.
        return direct
    constants = layer.constants * np.array([4, 1, 1, 1, 1, 1])
    made = dataclasses.replace(
        direct,
        kernel=dataclasses.replace(_WINOGRAD, fit=partial(_by_rows, costs=costs)),
        fields={
            **without(fields, "group_c", "output_zero_point", *FILTERS),
            "shift": layer.shift,
            "packed": ConstantArray(pack_winograd(layer)),
            "constants": ConstantArray(pack_constants(dataclasses.replace(layer, constants=constants))),
        },
        overlaps=row_lag(direct.inputs[0], direct.output, vertical_window(fields), rows_at_once=2),
        scratch_bytes=_SUMS_BYTES + (2 * _POSITIONS * _TILES + 1) * in_c,
        smaller=direct,
    )
    return _by_rows(made, direct.output.shape[1:2], costs)


def _by_rows(call: KernelCall, heights: Collection[int], costs: Costs) -> KernelCall:
    """Return the call with what it saves where it makes so many rows at a time; the direct one if that is nothing."""
    in_c, out_c, out_h, out_w = integers(call.fields, "in_c", "out_c", "out_h", "out_w")
    rows = max(heights)
    groups = -(-(-(-rows // 2) * -(-out_w // 2)) // _TILES)
    of_tile = _POSITIONS * in_c * out_c + _PATCH_PRODUCTS * in_c + _OUTPUT_PRODUCTS * out_c
    spared = 9 * in_c * out_c * rows * out_w - groups * _TILES * of_tile
    if call.smaller is not None and (spared <= 0 or groups < _LEAST_GROUPS):
        return call.smaller
    return dataclasses.replace(call, saved_cycles=costs.cascades.mac * spared * out_h / rows)


_WINOGRAD = Kernel(
    "te_conv2d_winograd_s8_wasm", "te_conv2d_winograd_wasm_params", "wasm", stripes=windowed, has_window=True
)
