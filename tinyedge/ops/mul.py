"""MUL, with broadcasting."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tinyedge.errors import UnsupportedOpError
from tinyedge.ops.broadcasting import elementwise_call, elementwise_kernels
from tinyedge.ops.descriptor import INT8_AND_INT16, IntegerLayer, OperatorDescriptor, TorchForm
from tinyedge.ops.kernel_call import KernelCall, integer_fields
from tinyedge.ops.operands import two_operands
from tinyedge.ops.rules import output_like, requantisation_multiplier, scale
from tinyedge.tflite.fixed_point import requantise, wrap_int32
from tinyedge.tflite.graph import Operator

if TYPE_CHECKING:
    import torch

KERNELS = elementwise_kernels("mul", "mul")
"""By the type of its operands."""


def _lower(operator: Operator) -> KernelCall:
    operands = two_operands(operator)
    first, second = operands.tensors
    output = output_like(operator, first)
    multiplier, shift = requantisation_multiplier(operator, scale(first) * scale(second) / scale(output))
    return elementwise_call(operator, KERNELS, operands, {"multiplier": multiplier, "shift": shift})


def _results(call: KernelCall, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """What te_mul_s8 makes of codes before it limits it, int64."""
    own = integer_fields(call)
    product = (first - own["input1_zero_point"]) * (second - own["input2_zero_point"])
    return wrap_int32(requantise(product, own["multiplier"], own["shift"]) + own["output_zero_point"])


def _codes(operator: Operator, operands: Sequence[np.ndarray]) -> np.ndarray:
    first, second = operands
    if operator.output.dtype == np.int32:
        if operator.options.get("fused_activation_function", "NONE") != "NONE":
            raise UnsupportedOpError(f"{operator.op} of int32 has an activation")
        return wrap_int32(first * second)
    call = _lower(operator)
    own = integer_fields(call)
    return np.clip(_results(call, first, second), own["output_min"], own["output_max"])


def _float(operator: Operator, x: "torch.Tensor", y: "torch.Tensor") -> "torch.Tensor":
    from tinyedge.ops.arithmetic.floats import activated, aligned, batched

    x, y = aligned(operator, x, y)
    return activated(operator, batched(operator, x * y))


def _integer_layer(operator: Operator) -> IntegerLayer:
    from tinyedge.ops.arithmetic.integers import pair_layer

    call, codes = _lower(operator), np.arange(-128, 128)
    scale_of_product = operator.input(0).q.scale * operator.input(1).q.scale / operator.output.q.scale
    results = _results(call, codes[:, None], codes[None, :])
    return pair_layer(operator, call, results, lambda x, y: x * y * scale_of_product)


OPERATORS = (
    OperatorDescriptor(
        name="MUL",
        inputs=(2, 2),
        lower=_lower,
        versions={"int8": 2, "int16": 4},
        tflm_types=INT8_AND_INT16,
        fuses_activation=True,
        codes=_codes,
        torch=TorchForm(("torch.Tensor.mul", "torch.Tensor.__mul__"), operands=2),
        is_function=True,
        float_function=_float,
        integer_layer=_integer_layer,
    ),
)
