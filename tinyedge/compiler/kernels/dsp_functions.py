"""SOFTMAX, and tables of any function, for the DSP extension."""

import dataclasses

from tinyedge.ops.fields import integers
from tinyedge.ops.kernel_call import Kernel, KernelCall
from tinyedge.ops.stripes import counted

_SOFTMAX_TABLE_BYTES = 1024
# Fewer values are not worth a table.
_MIN_SOFTMAX_ELEMENTS = 40
# Fewer values are looked up before the kernel of words has begun.
_MIN_TABLE_ELEMENTS = 16
# Of differences on their way to steps of exp(); then what is added before the shift fits 32 bits.
_MIN_SOFTMAX_SHIFT = -14


def softmax(call: KernelCall) -> KernelCall | str:
    """The kernel of SOFTMAX in int8, or why it keeps the portable one."""
    if call.output.elements < _MIN_SOFTMAX_ELEMENTS:
        return f"its {call.output.elements} values are fewer than {_MIN_SOFTMAX_ELEMENTS}, which are worth a table"
    return dataclasses.replace(call, kernel=_SOFTMAX, scratch_bytes=_SOFTMAX_TABLE_BYTES)


def softmax_s16(call: KernelCall) -> KernelCall | str:
    """The kernel of SOFTMAX in int16, or why it keeps the portable one."""
    multiplier, shift = integers(call.fields, "multiplier", "shift")
    if multiplier == 0 or shift < _MIN_SOFTMAX_SHIFT:  # The kernel would take 0 as 2^31.
        return "a step of its input is too small"
    return dataclasses.replace(call, kernel=_SOFTMAX_S16)


def table(call: KernelCall) -> KernelCall | str:
    """The kernel of a table of int8 values, or why it keeps the portable one."""
    if call.output.elements < _MIN_TABLE_ELEMENTS:
        return f"its {call.output.elements} values are fewer than {_MIN_TABLE_ELEMENTS}, which are worth words"
    return dataclasses.replace(call, kernel=_TABLE)


_SOFTMAX = Kernel("te_softmax_s8_dsp", "te_softmax_params", "dsp")
_SOFTMAX_S16 = Kernel("te_softmax_s16_dsp", "te_softmax_s16_params", "dsp")
_TABLE = Kernel("te_table_s8_dsp", "te_table_params", "dsp", stripes=counted)
