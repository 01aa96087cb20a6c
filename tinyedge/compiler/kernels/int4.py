"""Calls of kernels with INT4 weights as those of the same kernels with int8 ones."""

import dataclasses
import math
from collections.abc import Callable

from tinyedge.ops.fields import integers, values
from tinyedge.ops.kernel_call import ConstantArray, Fields, Kernel, KernelCall
from tinyedge.tflite.nibbles import unpack_int4

Choice = Callable[[KernelCall], KernelCall | str]
"""The call of a faster kernel, or why there is none."""


def with_int8_weights(call: KernelCall, wide: Kernel) -> KernelCall:
    """Return a call whose weights the compiler has unpacked.

    Args:
        call: Of a portable kernel of INT4 weights.
        wide: The kernel of int8 weights with the same struct.
    """
    weights = unpack_int4(values(call.fields, "weights"), _count_weights(call.fields))
    return dataclasses.replace(call, kernel=wide, fields={**call.fields, "weights": ConstantArray(weights)})


def _count_weights(fields: Fields) -> int:
    taps = math.prod(integers(fields, "kernel_h", "kernel_w"))
    of_taps = ("in_c", "multiplier_c") if "multiplier_c" in fields else ("group_c", "out_c")
    return taps * math.prod(integers(fields, *of_taps))
