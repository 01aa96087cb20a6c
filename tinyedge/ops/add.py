"""ADD and SUB, with broadcasting."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from tinyedge.errors import UnsupportedOpError
from tinyedge.ops.broadcasting import elementwise_call, elementwise_kernels
from tinyedge.ops.descriptor import INT8_AND_INT16, IntegerLayer, OperatorDescriptor, TorchForm
from tinyedge.ops.kernel_call import Kernel, KernelCall, integer_fields
from tinyedge.ops.operands import Operands, two_operands
from tinyedge.ops.rules import output_like, requantisation_multiplier, scale, unsupported
from tinyedge.tflite.fixed_point import requantise, wrap_int32
from tinyedge.tflite.graph import Operator, Tensor

if TYPE_CHECKING:
    import torch

# Bits below one step of the output that the operands of a sum are given on their way to a common scale.
_HEADROOM_BITS = {np.dtype(np.int8): 20, np.dtype(np.int16): 15}

KERNELS = elementwise_kernels("add", "add")
"""Of ADD, by the type of its operands."""

SUB_KERNELS = elementwise_kernels("sub", "add")
"""Of SUB, likewise."""


def _multiplier_below_one(operator: Operator, tensor: Tensor, value: float) -> tuple[int, int]:
    multiplier, shift = requantisation_multiplier(operator, value)
    if value >= 1.0 or shift > 0:
        raise unsupported(
            operator,
            tensor,
            f"has scale {scale(tensor):g}, too small for its operands",
            "coarser results",
        )
    return multiplier, shift


def _sum_fields(operator: Operator, multipliers: tuple[float, float, float], operands: Operands) -> dict[str, int]:
    fields: dict[str, int] = {}
    tensors = (*operands.tensors, operator.output)
    for name, tensor, value in zip(("input1", "input2", "output"), tensors, multipliers, strict=True):
        fields[f"{name}_multiplier"], fields[f"{name}_shift"] = _multiplier_below_one(operator, tensor, value)
    return fields


def _lower(operator: Operator, kernels: Mapping[str, Kernel]) -> KernelCall:
    """Bring both operands to twice the larger scale, add or subtract, and rescale to the output's."""
    operands = two_operands(operator)
    output = output_like(operator, operands.tensors[0])
    first, second = (scale(tensor) for tensor in operands.tensors)
    common = 2 * max(first, second)
    multipliers = (first / common, second / common, common / (2 ** _HEADROOM_BITS[output.dtype] * scale(output)))
    return elementwise_call(operator, kernels, operands, _sum_fields(operator, multipliers, operands))


def _results(call: KernelCall, sign: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """What te_add_s8 and te_sub_s8 make of codes before they limit it, int64."""
    own = integer_fields(call)
    scaled = [
        requantise(
            (codes - own[f"{name}_zero_point"]) << _HEADROOM_BITS[np.dtype(np.int8)],
            own[f"{name}_multiplier"],
            own[f"{name}_shift"],
        )
        for name, codes in (("input1", first), ("input2", second))
    ]
    total: np.ndarray = requantise(scaled[0] + sign * scaled[1], own["output_multiplier"], own["output_shift"])
    return total + own["output_zero_point"]


def _codes(operator: Operator, operands: Sequence[np.ndarray], kernels: Mapping[str, Kernel], sign: int) -> np.ndarray:
    first, second = operands
    if operator.output.dtype == np.int32:
        if operator.options.get("fused_activation_function", "NONE") != "NONE":
            raise UnsupportedOpError(f"{operator.op} of int32 has an activation")
        return wrap_int32(first + sign * second)
    call = _lower(operator, kernels)
    own = integer_fields(call)
    return np.clip(_results(call, sign, first, second), own["output_min"], own["output_max"])


def _float(operator: Operator, x: "torch.Tensor", y: "torch.Tensor", sign: int) -> "torch.Tensor":
    from tinyedge.ops.arithmetic.floats import activated, aligned, batched

    x, y = aligned(operator, x, y)
    return activated(operator, batched(operator, x + y if sign > 0 else x - y))


def _integer_layer(operator: Operator, kernels: Mapping[str, Kernel], sign: int) -> IntegerLayer:
    import torch

    from tinyedge.ops.arithmetic.integers import pair_layer

    if operator.output.dtype == np.int32:  # An index on its way to a lookup.
        constants = [tensor.values for tensor in operator.inputs if tensor is not None and tensor.is_constant]
        offset = sign * torch.from_numpy(constants[0].astype(np.float32))
        return lambda inputs: inputs[0] + offset
    call, codes = _lower(operator, kernels), np.arange(-128, 128)
    left, right = (operator.input(position).q.scale / operator.output.q.scale for position in (0, 1))
    results = _results(call, sign, codes[:, None], codes[None, :])
    return pair_layer(operator, call, results, lambda x, y: x * left + y * (sign * right))


def _describe(
    name: str, kernels: Mapping[str, Kernel], sign: int, versions: dict[str, int], torch_form: TorchForm | None = None
) -> OperatorDescriptor:
    return OperatorDescriptor(
        name=name,
        inputs=(2, 2),
        lower=partial(_lower, kernels=kernels),
        versions=versions,
        tflm_types=INT8_AND_INT16,
        passes_offsets=sign > 0,
        fuses_activation=True,
        codes=partial(_codes, kernels=kernels, sign=sign),
        torch=torch_form,
        is_function=True,
        float_function=partial(_float, sign=sign),
        integer_layer=partial(_integer_layer, kernels=kernels, sign=sign),
    )


OPERATORS = (
    _describe(
        "ADD", KERNELS, 1, {"int8": 2, "int16": 3}, TorchForm(("torch.Tensor.add", "torch.Tensor.__add__"), operands=2)
    ),
    _describe("SUB", SUB_KERNELS, -1, {"int8": 2, "int16": 5}),
)
