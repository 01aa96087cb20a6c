"""ELU, EXP, LOG and SQRT of int8 values, as tables.

TFLite Micro has an int8 kernel of ELU alone; LiteRT's is the reference of the others. All evaluate in single precision
for each code; SQRT's steps are cut off where the others round.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from tinyedge.ops.descriptor import INT8, FloatFunction, Lowering, OperatorDescriptor
from tinyedge.ops.functions import looked_up
from tinyedge.ops.kernel_call import KernelCall
from tinyedge.ops.rules import int8_activation, int8_output
from tinyedge.ops.table import bounded_steps, codes_of, float_codes, integer_layer_of, lookup, table_call
from tinyedge.tflite.fixed_point import clamp
from tinyedge.tflite.graph import Operator

if TYPE_CHECKING:
    import torch


def _lower(operator: Operator, function: Callable[[float], float]) -> KernelCall:
    source, output = int8_activation(operator), int8_output(operator)
    return lookup(operator, float_codes(operator, source.q, output.q, function))


def _lower_sqrt(operator: Operator) -> KernelCall:
    """Lower SQRT; LiteRT stops at values below 0, which have the root of 0 here."""
    source, output = int8_activation(operator).q, int8_output(operator).q

    def evaluate(code: int) -> int:
        real = source.scales[0] * np.float32(max(code - source.zero_point, 0))
        return clamp(int(bounded_steps(np.sqrt(real) / output.scales[0])) + output.zero_point, -128, 127)

    with np.errstate(over="ignore"):
        return table_call(operator, evaluate)


def _elu(x: float) -> float:
    return x if x >= 0 else float(np.float32(math.exp(x)) - np.float32(1))


def _exp(x: float) -> float:
    return math.exp(x) if x < _LARGEST_EXPONENT else math.inf


_LARGEST_EXPONENT = 88.0  # Of a float32.


def _log(x: float) -> float:
    return math.log(x) if x > 0 else -math.inf


def _float_elu(operator: Operator, x: "torch.Tensor") -> "torch.Tensor":
    return x.where(x >= 0, x.expm1())


def _float_exp(operator: Operator, x: "torch.Tensor") -> "torch.Tensor":
    return x.exp()


def _float_log(operator: Operator, x: "torch.Tensor") -> "torch.Tensor":
    return x.log()


def _float_sqrt(operator: Operator, x: "torch.Tensor") -> "torch.Tensor":
    return x.sqrt()


_LOWERINGS: dict[str, tuple[Lowering, FloatFunction]] = {
    "EXP": (partial(_lower, function=_exp), _float_exp),
    "LOG": (partial(_lower, function=_log), _float_log),
    "SQRT": (_lower_sqrt, _float_sqrt),
}

OPERATORS = (
    OperatorDescriptor(
        name="ELU",
        lower=partial(_lower, function=_elu),
        versions={"int8": 1},
        tflm_types=INT8,
        codes=codes_of(partial(_lower, function=_elu)),
        is_function=True,
        float_function=_float_elu,
        integer_layer=integer_layer_of(partial(_lower, function=_elu), _float_elu),
    ),
    *(
        OperatorDescriptor(
            name=name,
            lower=lower,
            expand=looked_up(function),
            codes=codes_of(lower),
            is_function=True,
            float_function=function,
        )
        for name, (lower, function) in _LOWERINGS.items()
    ),
)
