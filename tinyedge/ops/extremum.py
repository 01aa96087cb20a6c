"""MAXIMUM and MINIMUM, with broadcasting: of codes, whatever their quantisation, as TFLite Micro compares them."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from tinyedge.errors import UnsupportedOpError
from tinyedge.ops.broadcasting import broadcast_loops
from tinyedge.ops.descriptor import INT8_AND_INT16, FloatFunction, OperatorDescriptor
from tinyedge.ops.kernel_call import Kernel, KernelCall
from tinyedge.ops.moves import of_codes
from tinyedge.ops.operands import two_operands
from tinyedge.ops.overlap import in_place
from tinyedge.ops.rules import element, output_like
from tinyedge.ops.stripes import broadcast
from tinyedge.tflite.graph import Operator

if TYPE_CHECKING:
    import torch

_PARAMS = {"s8": "te_extremum_params", "s16": "te_extremum_s16_params"}


def _lower(operator: Operator, kernels: Mapping[str, Kernel]) -> KernelCall:
    operands = two_operands(operator)
    output = output_like(operator, operands.tensors[0])
    return KernelCall(
        kernel=kernels[element(output)],
        fields={
            **broadcast_loops(operator, operands),
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
    if any(tensor is None or tensor.dtype != np.int8 for tensor in (*operator.inputs, operator.output)):
        raise UnsupportedOpError(f"{operator.op} of other than int8")
    return function(operands[0], operands[1])


def _float_maximum(operator: Operator, x: "torch.Tensor", y: "torch.Tensor") -> "torch.Tensor":
    import torch

    from tinyedge.ops.arithmetic.floats import aligned, batched

    return batched(operator, torch.maximum(*aligned(operator, x, y)))


def _float_minimum(operator: Operator, x: "torch.Tensor", y: "torch.Tensor") -> "torch.Tensor":
    import torch

    from tinyedge.ops.arithmetic.floats import aligned, batched

    return batched(operator, torch.minimum(*aligned(operator, x, y)))


def _describe(
    name: str, stem: str, function: Callable[[np.ndarray, np.ndarray], np.ndarray], float_function: FloatFunction
) -> OperatorDescriptor:
    kernels = {
        element: Kernel(f"te_{stem}_{element}", params, stripes=broadcast) for element, params in _PARAMS.items()
    }
    return OperatorDescriptor(
        name=name,
        inputs=(2, 2),
        lower=partial(_lower, kernels=kernels),
        versions={"int8": 2, "int16": 4},
        tflm_types=INT8_AND_INT16,
        keeps_quantisation=True,
        bounds_values=True,
        codes=partial(_codes, function=function),
        is_function=True,
        float_function=float_function,
        integer_layer=of_codes(float_function),
    )


OPERATORS = (
    _describe("MAXIMUM", "maximum", np.maximum, _float_maximum),
    _describe("MINIMUM", "minimum", np.minimum, _float_minimum),
)
