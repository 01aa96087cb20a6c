"""ELU, EXP, LOG and SQRT of int8 values, as tables.

TFLite Micro has an int8 kernel of ELU alone; LiteRT's is the reference of the others. All evaluate in single precision
for each code; SQRT's steps are cut off where the others round.
"""

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from tinyedge.ops.descriptor import INT8, Lowering, OperatorDescriptor
from tinyedge.ops.kernel_call import KernelCall
from tinyedge.ops.rules import int8_activation, int8_output
from tinyedge.ops.table import codes_of, float_codes, lookup, table_call
from tinyedge.tflite.fixed_point import clamp
from tinyedge.tflite.graph import Operator


def _lower(operator: Operator, function: Callable[[float], float]) -> KernelCall:
    source, output = int8_activation(operator), int8_output(operator)
    return lookup(operator, float_codes(source.q, output.q, function))


def _lower_sqrt(operator: Operator) -> KernelCall:
    """Lower SQRT; LiteRT stops at values below 0, which have the root of 0 here."""
    source, output = int8_activation(operator).q, int8_output(operator).q

    def evaluate(code: int) -> int:
        real = source.scales[0] * np.float32(max(code - source.zero_point, 0))
        return clamp(int(np.sqrt(real) / output.scales[0]) + output.zero_point, -128, 127)

    return table_call(operator, evaluate)


def _elu(x: float) -> float:
    return x if x >= 0 else float(np.float32(math.exp(x)) - np.float32(1))


def _exp(x: float) -> float:
    return math.exp(x) if x < _LARGEST_EXPONENT else math.inf


_LARGEST_EXPONENT = 88.0  # Of a float32.


def _log(x: float) -> float:
    return math.log(x) if x > 0 else -math.inf


_LOWERINGS: dict[str, Lowering] = {
    "EXP": partial(_lower, function=_exp),
    "LOG": partial(_lower, function=_log),
    "SQRT": _lower_sqrt,
}

OPERATORS = (
    OperatorDescriptor(
        name="ELU",
        lower=partial(_lower, function=_elu),
        tflm_types=INT8,
        codes=codes_of(partial(_lower, function=_elu)),
    ),
    *(OperatorDescriptor(name=name, lower=lower, codes=codes_of(lower)) for name, lower in _LOWERINGS.items()),
)
