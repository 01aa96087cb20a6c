"""RESHAPE, EXPAND_DIMS and SQUEEZE, which keep all bytes as they are, and SHAPE."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from tinyedge.ops.descriptor import INT8_AND_INT16, IntegerLayer, OperatorDescriptor
from tinyedge.ops.kernel_call import KernelCall
from tinyedge.ops.rules import output_like, quantised_activation, unsupported
from tinyedge.ops.strided_copy import strided_copy
from tinyedge.tflite.graph import Operator, Tensor, integer_constant

if TYPE_CHECKING:
    import torch


def _lower(operator: Operator) -> KernelCall:
    """Lower a reshape to a copy, for where its output cannot be a view of its input."""
    source = quantised_activation(operator)
    output = output_like(operator, source)
    if source.elements != output.elements:
        raise unsupported(operator, output, f"has shape {list(output.shape)}", f"{source.elements} elements")
    return strided_copy(operator, source, [source.elements], [1])


def _keeps_elements(operator: Operator, source: Tensor) -> bool:
    return source.elements == operator.output.elements


def _reshaped(operator: Operator) -> np.ndarray | None:
    source, output = operator.input(0).values, operator.output
    return source.reshape(output.shape) if source.size == output.elements else None


def _shape(operator: Operator) -> np.ndarray | None:
    dtype = operator.output.dtype
    return np.array(operator.input(0).shape, dtype) if dtype in (np.int32, np.int64) else None


def _constant_channel(operator: Operator, value: int) -> int:
    return value


def _float(operator: Operator, x: "torch.Tensor", *_: "torch.Tensor | None") -> "torch.Tensor":
    from tinyedge.ops.arithmetic.floats import batched

    return batched(operator, x)


def _integer_layer(operator: Operator) -> IntegerLayer:
    return lambda inputs: _float(operator, inputs[0])


def _as_reshape(operator: Operator, tensors: Mapping[Tensor, Tensor]) -> list[Operator]:
    """The RESHAPE that a float operator of this kind is in INT8, which says the shape as a constant."""
    return [reshape(tensors[operator.input(0)], tensors[operator.output], operator.index)]


def reshape(source: Tensor, output: Tensor, index: int) -> Operator:
    """The RESHAPE that makes one of the other, in the place of the operator `index`."""
    shape = integer_constant(f"{output.name}/shape", output.shape)
    return Operator("RESHAPE", (source, shape), (output,), index=index)


_RESHAPE = OperatorDescriptor(
    name="RESHAPE",
    inputs=(1, 2),
    lower=_lower,
    versions={"int8": 1, "int16": 1},
    tflm_types=INT8_AND_INT16,
    keeps_quantisation=True,
    passes_offsets=True,
    is_reshape=True,
    moves_nothing=_keeps_elements,
    fold=_reshaped,
    constant_channel=_constant_channel,
    float_function=_float,
    integer_layer=_integer_layer,
)

OPERATORS = (
    dataclasses.replace(_RESHAPE, name="EXPAND_DIMS", inputs=(2, 2), expand=_as_reshape),
    _RESHAPE,
    OperatorDescriptor(name="SHAPE", fold=_shape, folds_shapes=True),
    dataclasses.replace(_RESHAPE, name="SQUEEZE", inputs=(1, 1), expand=_as_reshape),
)
