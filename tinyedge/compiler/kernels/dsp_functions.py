"""SOFTMAX for the DSP extension."""

import dataclasses

from tinyedge.ops.fields import integers
from tinyedge.ops.kernel_call import Kernel, KernelCall

_SOFTMAX_TABLE_BYTES = 1024
# Fewer values are not worth a table.
_MIN_SOFTMAX_ELEMENTS = 40
# Of differences on their way to steps of exp(); then what is added before the shift fits 32 bits.
_MIN_SOFTMAX_SHIFT = -14


def softmax(call: KernelCall) -> KernelCall | str:
    """The kernel of SOFTMAX in int8, or why it keeps the portable one."""
    if call.output.elements < _MIN_SOFTMAX_ELEMENTS:
        return f"its {call.output.elements} values are fewer than {_MIN_SOFTMAX_ELEMENTS}, which are worth a table"
    return dataclasses.replace(call, kernel=_SOFTMAX, scratch_bytes=_SOFTMAX_TABLE_BYTES)


def softmax_s16(call: KernelCall) -> KernelCall | str:
    """The kernel of SOFTMAX in int16, or why it keeps the portable one."""
    (shift,) = integers(call.fields, "shift")
    if shift < _MIN_SOFTMAX_SHIFT:
        return "a step of its input is too small"
    return dataclasses.replace(call, kernel=_SOFTMAX_S16)


_SOFTMAX = Kernel("te_softmax_s8_dsp", "te_softmax_params", "dsp")
_SOFTMAX_S16 = Kernel("te_softmax_s16_dsp", "te_softmax_s16_params", "dsp")
