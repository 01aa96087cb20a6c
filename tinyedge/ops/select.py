"""SELECT_V2 of int8 values, with broadcasting: codes of one operand or the other, as TFLite Micro copies them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tinyedge.errors import UnsupportedOpError
from tinyedge.ops.broadcasting import nested_loops
from tinyedge.ops.descriptor import INT8, OperatorDescriptor
from tinyedge.ops.kernel_call import ConstantArray, Fields, Kernel, KernelCall
from tinyedge.ops.moves import of_codes
from tinyedge.ops.overlap import in_place
from tinyedge.ops.rules import int8_output, quantised_input, tensor_input, unsupported
from tinyedge.tflite.graph import Operator

if TYPE_CHECKING:
    import torch

_KERNEL = Kernel("te_select_s8", "te_select_params")
_OPERANDS = ("condition", "chosen", "other")


def _lower(operator: Operator) -> KernelCall:
    condition, output = tensor_input(operator, 0, "condition"), int8_output(operator)
    values = [quantised_input(operator, position, f"operand {position}") for position in (1, 2)]
    if condition.dtype != np.bool_:
        raise unsupported(operator, condition, f"is {condition.dtype}", "a condition of the type bool")
    for tensor in values:
        if tensor.dtype != np.int8:
            raise unsupported(operator, tensor, f"is {tensor.dtype}", "SELECT_V2 of int8 values")
    operands = [condition, *values]
    activations = [tensor for tensor in operands if not tensor.is_constant]
    if not activations:
        raise unsupported(operator, output, "is computed from constants only", "at least one activation")
    dims, strides = nested_loops(operator, operands)
    fields: Fields = {"dims": dims}
    for name, tensor, steps in zip(_OPERANDS, operands, strides, strict=True):
        fields[f"{name}_strides"] = steps
        fields[f"constant_{name}"] = None if tensor.data is None else ConstantArray(tensor.data.view(np.int8))
    inputs = tuple(activations[0] if tensor.is_constant else tensor for tensor in operands)
    return KernelCall(
        kernel=_KERNEL,
        fields=fields,
        inputs=inputs,
        output=output,
        op=operator.op,
        name=output.name,
        overlaps=in_place(output, *inputs),
    )


def _codes(operator: Operator, operands: Sequence[np.ndarray]) -> np.ndarray:
    tensors = (*operator.inputs[1:], operator.output)
    if len(operands) != len(_OPERANDS) or any(tensor is None or tensor.dtype != np.int8 for tensor in tensors):
        raise UnsupportedOpError(f"{operator.op} of other than int8")
    return np.where(operands[0] != 0, operands[1], operands[2])


def _float(
    operator: Operator, condition: "torch.Tensor", chosen: "torch.Tensor", other: "torch.Tensor"
) -> "torch.Tensor":
    from tinyedge.ops.arithmetic.floats import aligned, batched

    where, one, another = aligned(operator, condition, chosen, other)
    return batched(operator, one.where(where.bool(), another))


OPERATORS = (
    OperatorDescriptor(
        name="SELECT_V2",
        inputs=(3, 3),
        lower=_lower,
        versions={"int8": 1},
        tflm_types=INT8,
        keeps_quantisation=True,
        codes=_codes,
        is_function=True,
        float_function=_float,
        integer_layer=of_codes(_float),
    ),
)
