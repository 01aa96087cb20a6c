"""SQUARED_DIFFERENCE, with broadcasting."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tinyedge.errors import UnsupportedOpError
from tinyedge.ops.broadcasting import elementwise_call, elementwise_kernels
from tinyedge.ops.descriptor import INT8_AND_INT16, IntegerLayer, OperatorDescriptor
from tinyedge.ops.kernel_call import KernelCall, integer_fields
from tinyedge.ops.operands import two_operands
from tinyedge.ops.rules import output_like, requantisation_multiplier, scale
from tinyedge.tflite.fixed_point import requantise
from tinyedge.tflite.graph import Operator

if TYPE_CHECKING:
    import torch

# Bits below one step that a difference is given on its way to a common scale; its square has to fit 32 bits.
_HEADROOM_BITS = {np.dtype(np.int8): 7, np.dtype(np.int16): 0}

_KERNELS = elementwise_kernels("squared_difference", "add")


def _lower(operator: Operator) -> KernelCall:
    """Bring both operands to twice the larger scale, subtract, square, and rescale to the output's."""
    operands = two_operands(operator)
    output = output_like(operator, operands.tensors[0])
    first, second = (scale(tensor) for tensor in operands.tensors)
    common = 2 * max(first, second)
    values = (first / common, second / common, common**2 / (4 ** _HEADROOM_BITS[output.dtype] * scale(output)))
    own: dict[str, int] = {}
    for name, value in zip(("input1", "input2", "output"), values, strict=True):
        own[f"{name}_multiplier"], own[f"{name}_shift"] = requantisation_multiplier(operator, value)
    return elementwise_call(operator, _KERNELS, operands, own)


def _codes(operator: Operator, operands: Sequence[np.ndarray]) -> np.ndarray:
    if operator.output.dtype != np.int8:
        raise UnsupportedOpError(f"{operator.op} of {operator.output.dtype}")
    own = integer_fields(_lower(operator))
    first, second = (
        requantise(
            (codes - own[f"{name}_zero_point"]) << _HEADROOM_BITS[np.dtype(np.int8)],
            own[f"{name}_multiplier"],
            own[f"{name}_shift"],
        )
        for name, codes in zip(("input1", "input2"), operands, strict=True)
    )
    squares: np.ndarray = requantise((first - second) ** 2, own["output_multiplier"], own["output_shift"])
    return np.clip(squares + own["output_zero_point"], own["output_min"], own["output_max"])


def _float(operator: Operator, x: "torch.Tensor", y: "torch.Tensor") -> "torch.Tensor":
    from tinyedge.ops.arithmetic.floats import aligned, batched

    x, y = aligned(operator, x, y)
    return batched(operator, (x - y).square())


def _integer_layer(operator: Operator) -> IntegerLayer:
    from tinyedge.ops.arithmetic.integers import pair_layer_of

    return pair_layer_of(_codes, _float)(operator)


OPERATORS = (
    OperatorDescriptor(
        name="SQUARED_DIFFERENCE",
        inputs=(2, 2),
        lower=_lower,
        versions={"int8": 2, "int16": 2},
        tflm_types=INT8_AND_INT16,
        codes=_codes,
        is_function=True,
        float_function=_float,
        integer_layer=_integer_layer,
    ),
)
