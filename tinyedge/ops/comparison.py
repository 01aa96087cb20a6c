"""EQUAL, GREATER and their kin of int8 values, with broadcasting: as TFLite Micro compares, in units of 2^-8.

Each operand is brought to these units by itself, so values less than a unit apart may be equal.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from tinyedge.errors import UnsupportedOpError
from tinyedge.ops.broadcasting import broadcast_loops
from tinyedge.ops.descriptor import INT8, IntegerLayer, OperatorDescriptor
from tinyedge.ops.kernel_call import Kernel, KernelCall, integer_fields
from tinyedge.ops.operands import two_operands
from tinyedge.ops.overlap import in_place
from tinyedge.ops.rules import only_output, requantisation_multiplier, scale, unsupported, zero_point
from tinyedge.tflite.fixed_point import requantise
from tinyedge.tflite.graph import Operator

if TYPE_CHECKING:
    import torch

_UNIT_BITS = 8
_KERNEL = Kernel("te_compare_s8", "te_compare_params")

# In the order of te_comparison.
_FUNCTIONS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "EQUAL": np.equal,
    "NOT_EQUAL": np.not_equal,
    "GREATER": np.greater,
    "GREATER_EQUAL": np.greater_equal,
    "LESS": np.less,
    "LESS_EQUAL": np.less_equal,
}


def _lower(operator: Operator) -> KernelCall:
    operands, output = two_operands(operator), only_output(operator)
    own: dict[str, int] = {}
    for position, tensor in enumerate(operands.tensors, start=1):
        if tensor.dtype != np.int8:
            raise unsupported(operator, tensor, f"is {tensor.dtype}", f"{operator.op} of int8 activations")
        if scale(tensor) >= 1:  # There TFLite Micro stops.
            raise unsupported(operator, tensor, f"has the scale {scale(tensor):g}", f"{operator.op} of scales below 1")
        own[f"input{position}_zero_point"] = zero_point(tensor)
        names = f"input{position}_multiplier", f"input{position}_shift"
        own.update(zip(names, requantisation_multiplier(operator, scale(tensor)), strict=True))
    if output.dtype != np.bool_:
        raise unsupported(operator, output, f"is {output.dtype}", "results of the type bool")
    return KernelCall(
        kernel=_KERNEL,
        fields={
            **broadcast_loops(operator, operands),
            **own,
            "comparison": list(_FUNCTIONS).index(operator.op),
            "constant1": operands.constants[0],
            "constant2": operands.constants[1],
        },
        inputs=operands.activations,
        output=output,
        op=operator.op,
        name=output.name,
        overlaps=in_place(output, *operands.activations),
    )


def _codes(
    operator: Operator, operands: Sequence[np.ndarray], function: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    if any(tensor is None or tensor.dtype != np.int8 for tensor in operator.inputs):
        raise UnsupportedOpError(f"{operator.op} of other than int8")
    own = integer_fields(_lower(operator))
    first, second = (
        requantise((codes - own[f"{name}_zero_point"]) << _UNIT_BITS, own[f"{name}_multiplier"], own[f"{name}_shift"])
        for name, codes in zip(("input1", "input2"), operands, strict=True)
    )
    return function(first, second).astype(np.int64)


def _float(operator: Operator, x: "torch.Tensor", y: "torch.Tensor") -> "torch.Tensor":
    import torch

    from tinyedge.ops.arithmetic.floats import aligned, batched

    compare = torch.eq if operator.op == "EQUAL" else getattr(torch, operator.op.lower())
    return batched(operator, compare(*aligned(operator, x, y)))


def _integer_layer(operator: Operator) -> IntegerLayer:
    from tinyedge.ops.arithmetic.floats import aligned, batched
    from tinyedge.ops.arithmetic.integers import all_operands

    def layer(inputs: "list[torch.Tensor]") -> "torch.Tensor":
        import torch

        operands = [
            codes.detach().numpy().astype(np.int64) for codes in aligned(operator, *all_operands(operator, inputs))
        ]
        return batched(operator, torch.from_numpy(_codes(operator, operands, _FUNCTIONS[operator.op]) != 0))

    return layer


OPERATORS = tuple(
    OperatorDescriptor(
        name=name,
        inputs=(2, 2),
        lower=_lower,
        versions={"int8": 2 if "EQUAL" in (name, name.removeprefix("NOT_")) else 1},
        tflm_types=INT8,
        codes=partial(_codes, function=function),
        is_function=True,
        float_function=_float,
        integer_layer=_integer_layer,
    )
    for name, function in _FUNCTIONS.items()
)
