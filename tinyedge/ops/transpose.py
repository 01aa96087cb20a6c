"""TRANSPOSE and REVERSE_V2."""

from typing import TYPE_CHECKING

import numpy as np

from tinyedge.ops.broadcasting import dense_strides
from tinyedge.ops.descriptor import INT8, INT8_AND_INT16, IntegerLayer, OperatorDescriptor
from tinyedge.ops.kernel_call import KernelCall
from tinyedge.ops.moves import in_torch
from tinyedge.ops.rules import constant_integers, integers_of, output_like, quantised_activation, unsupported
from tinyedge.ops.strided_copy import strided_copy
from tinyedge.tflite.graph import Operator, Tensor

if TYPE_CHECKING:
    import torch


def _lower(operator: Operator) -> KernelCall:
    """Lower TRANSPOSE."""
    source = quantised_activation(operator)
    output = output_like(operator, source)
    permutation = constant_integers(operator, 1, "permutation")
    if sorted(permutation) != list(range(len(source.shape))):
        raise unsupported(
            operator, source, f"has rank {len(source.shape)} permuted by {permutation}", "permutations of all axes"
        )
    if output.shape != tuple(source.shape[axis] for axis in permutation):
        raise unsupported(operator, output, f"has shape {list(output.shape)}", "the input's shape permuted")
    strides = dense_strides(source.shape)
    return strided_copy(operator, source, list(output.shape), [strides[axis] for axis in permutation])


def _permutation(operator: Operator, source: Tensor) -> list[int] | None:
    """The constant permutation of all axes of a TRANSPOSE; None where it is something else."""
    axes = operator.inputs[1] if len(operator.inputs) == 2 else None
    permutation = None if axes is None else integers_of(axes)
    if permutation is None:
        return None
    return permutation if sorted(permutation) == list(range(len(source.shape))) else None


def _keeps_order(operator: Operator, source: Tensor) -> bool:
    """Whether a TRANSPOSE moves axes of size 1 only."""
    axes = _permutation(operator, source)
    if axes is None or operator.output.shape != tuple(source.shape[axis] for axis in axes):
        return False
    longer = [axis for axis in axes if source.shape[axis] > 1]
    return longer == sorted(longer)


def _transposed(operator: Operator) -> np.ndarray | None:
    axes = _permutation(operator, operator.input(0))
    return None if axes is None else operator.input(0).values.transpose(axes)


def _float(operator: Operator, x: "torch.Tensor", order: "torch.Tensor") -> "torch.Tensor":
    from tinyedge.ops.arithmetic.floats import batched, samples

    return batched(operator, samples(operator.input(0), x).permute(0, *(int(axis) + 1 for axis in order.reshape(-1))))


def _integer_layer(operator: Operator) -> IntegerLayer:
    import torch

    order = torch.tensor(constant_integers(operator, 1, "permutation"))
    return lambda inputs: _float(operator, inputs[0], order)


def _lower_reverse(operator: Operator) -> KernelCall:
    """Lower REVERSE_V2."""
    source = quantised_activation(operator)
    output = output_like(operator, source)
    rank = len(source.shape)
    axes = constant_integers(operator, 1, "axes")
    if any(not -rank <= axis < rank for axis in axes):
        raise unsupported(operator, source, f"is reversed along {axes}", f"axes from {-rank} to {rank - 1}")
    if output.shape != source.shape:
        raise unsupported(operator, output, f"has shape {list(output.shape)}", "the input's shape")
    reversed_axes = {axis % rank for axis in axes}
    strides = dense_strides(source.shape)
    start = sum((source.shape[axis] - 1) * strides[axis] for axis in reversed_axes)
    steps = [-stride if axis in reversed_axes else stride for axis, stride in enumerate(strides)]
    return strided_copy(operator, source, source.shape, steps, start)


def _reversed(operator: Operator) -> np.ndarray | None:
    axes = integers_of(operator.input(1))
    return None if axes is None else np.flip(operator.input(0).values, axes)


OPERATORS = (
    OperatorDescriptor(
        name="REVERSE_V2",
        inputs=(2, 2),
        lower=_lower_reverse,
        versions={"int8": 3},
        tflm_types=INT8,
        keeps_quantisation=True,
        fold=_reversed,
        **in_torch(_lower_reverse),
    ),
    OperatorDescriptor(
        name="TRANSPOSE",
        inputs=(2, 2),
        lower=_lower,
        versions={"int8": 2, "int16": 5},
        tflm_types=INT8_AND_INT16,
        keeps_quantisation=True,
        moves_nothing=_keeps_order,
        fold=_transposed,
        float_function=_float,
        integer_layer=_integer_layer,
    ),
)
