"""INT4 weights for the DSP extension: the kernels of int8 weights, with streams of half the size."""

import dataclasses
import math
from collections.abc import Collection, Mapping

import numpy as np

from tinyedge.compiler.kernels.dsp_packing import narrow_depthwise3, narrow_filters, narrow_taps
from tinyedge.compiler.kernels.int4 import Choice, with_int8_weights
from tinyedge.ops.fields import integers, values, without
from tinyedge.ops.kernel_call import ConstantArray, Fields, Kernel, KernelCall

RAISED = "raised"
"""The member of a call of a 3x3 depthwise convolution that `raise_sums` gives, until it is in the stream."""

# Whose streams are unpacked at a time: TE_PLANES of te_planes_s8_dsp.h.
_CHANNELS = 4


def choose_int4(wide: Kernel, choose: Choice) -> Choice:
    """Return the choice for calls of a kernel with INT4 weights.

    Args:
        wide: The kernel of int8 weights with the same struct.
        choose: The choice for calls of that one.
    """

    def choice(call: KernelCall) -> KernelCall | str:
        made = choose(with_int8_weights(call, wide))
        if isinstance(made, str):
            return made
        narrow = _NARROW.get(made.function)
        return f"{made.function} has no form for INT4 weights" if narrow is None else narrow(made)

    return choice


def _conv2d(call: KernelCall) -> KernelCall | str:
    return _with_products(call, math.prod(integers(call.fields, "kernel_h", "kernel_w", "group_c")))


def _conv2d_rows(call: KernelCall) -> KernelCall | str:
    kernel_h, kernel_w, in_c = integers(call.fields, "kernel_h", "kernel_w", "in_c")
    row = kernel_w * in_c
    return _with_products(call, kernel_h * (row + row % 2))


def _fully_connected(call: KernelCall) -> KernelCall | str:
    return _with_products(call, *integers(call.fields, "in_c"))


def _with_products(call: KernelCall, depth: int) -> KernelCall | str:
    """Return a call of the matrix product of te_gemm_s4_dsp.h.

    Args:
        call: Of that of te_gemm_s8_dsp.h.
        depth: Values of a filter, those between rows among them.
    """
    stream = values(call.fields, "packed")
    (plain,) = integers(call.fields, "plain")
    narrow = narrow_filters(stream, -(-depth // 4), plain)
    if narrow is None:
        return "sums may reach 2^27, beyond which 16 times a sum does not fit 32 bits"
    changed: Fields = {"plain": min(plain, 1), "packed": ConstantArray(narrow)}
    if "group_words" in call.fields:
        (group_words,) = integers(call.fields, "group_words")
        changed["group_words"] = group_words * narrow.size // stream.size
    return _narrowed(call, changed)


def _depthwise3(call: KernelCall) -> KernelCall:
    stream = values(call.fields, "packed")
    raised = values(call.fields, RAISED) if RAISED in call.fields else np.zeros((len(stream), 2), np.int64)
    narrow = narrow_depthwise3(stream, raised)
    of_kernel = dataclasses.replace(call, fields=without(call.fields, RAISED))
    return _narrowed(of_kernel, {"words": narrow.shape[1], "packed": ConstantArray(narrow)})


def _depthwise_taps(call: KernelCall) -> KernelCall:
    stream = values(call.fields, "packed")
    unpacked_bytes = _CHANNELS * stream[0].nbytes
    fit_wide = call.kernel.fit

    def with_streams(fitted: KernelCall) -> KernelCall:
        return dataclasses.replace(fitted, scratch_bytes=fitted.scratch_bytes + unpacked_bytes)

    def fit(narrow: KernelCall, heights: Collection[int]) -> KernelCall:
        return with_streams(narrow if fit_wide is None else fit_wide(narrow, heights))

    made = with_streams(_narrowed(call, {"packed": ConstantArray(narrow_taps(stream))}))
    return dataclasses.replace(made, kernel=dataclasses.replace(made.kernel, fit=fit))


def _narrowed(call: KernelCall, changed: Fields) -> KernelCall:
    kernel = dataclasses.replace(call.kernel, function=call.function.replace("_s8_", "_s4_"))
    return dataclasses.replace(call, kernel=kernel, fields={**call.fields, **changed})


_NARROW: Mapping[str, Choice] = {
    "te_conv2d_s8_dsp": _conv2d,
    "te_conv2d_rows_s8_dsp": _conv2d_rows,
    "te_depthwise_conv2d_s8_dsp": _depthwise3,
    "te_depthwise_taps_s8_dsp": _depthwise_taps,
    "te_fully_connected_s8_dsp": _fully_connected,
}
"""By the kernel of int8 weights."""
