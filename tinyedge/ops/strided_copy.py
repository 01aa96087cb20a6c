"""Operators that copy elements in another order: RESHAPE and its kin, TRANSPOSE, STRIDED_SLICE."""

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from tinyedge.ops.broadcasting import dense_strides
from tinyedge.ops.descriptor import INT8, INT8_AND_INT16, IntegerLayer, OperatorDescriptor
from tinyedge.ops.kernel_call import Kernel, KernelCall
from tinyedge.ops.loops import MAX_LOOPS, loop_fields
from tinyedge.ops.rules import constant_integers, element, output_like, quantised_activation, unsupported
from tinyedge.tflite.graph import Operator, Tensor

if TYPE_CHECKING:
    import torch

_KERNELS = {element: Kernel(f"te_strided_copy_{element}", "te_strided_copy_params") for element in ("s8", "s16")}


def _strided_copy(
    operator: Operator, source: Tensor, dims: list[int], strides: list[int], start: int = 0
) -> KernelCall:
    """A copy of input elements in the order of nested loops, of which as many as possible are joined."""
    loops: list[tuple[int, int]] = []
    for size, stride in zip(dims, strides, strict=True):
        if size == 1:
            continue
        if loops and loops[-1][1] == size * stride:
            loops[-1] = (loops[-1][0] * size, stride)
        else:
            loops.append((size, stride))
    if len(loops) > MAX_LOOPS:
        raise unsupported(operator, source, f"needs {len(loops)} nested loops", f"at most {MAX_LOOPS}")
    return KernelCall(
        kernel=_KERNELS[element(source)],
        fields={
            **loop_fields(loops),
            "start": start,
        },
        inputs=(source,),
        output=operator.output,
        op=operator.op,
        name=operator.output.name,
    )


def _lower_reshape(operator: Operator) -> KernelCall:
    """Lower a reshape to a copy, for where its output cannot be a view of its input."""
    source = quantised_activation(operator)
    output = output_like(operator, source)
    if source.elements != output.elements:
        raise unsupported(operator, output, f"has shape {list(output.shape)}", f"{source.elements} elements")
    return _strided_copy(operator, source, [source.elements], [1])


def _lower_transpose(operator: Operator) -> KernelCall:
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
    return _strided_copy(operator, source, list(output.shape), [strides[axis] for axis in permutation])


def _slice_of_axis(operator: Operator, axis: int, size: int, begin: int, end: int, stride: int) -> range:
    """The indices that STRIDED_SLICE takes along an axis."""

    def masked(name: str) -> bool:
        return bool(operator.options.get(name, 0) >> axis & 1)

    if masked("shrink_axis_mask"):
        first = range(size)[slice(None if masked("begin_mask") else begin, None, stride)]
        return first[:1]
    return range(size)[slice(None if masked("begin_mask") else begin, None if masked("end_mask") else end, stride)]


def _lower_strided_slice(operator: Operator) -> KernelCall:
    """Lower STRIDED_SLICE with constant bounds and strides of either sign."""
    source = quantised_activation(operator)
    output = output_like(operator, source)
    begins, ends, steps = (
        constant_integers(operator, i, meaning) for i, meaning in ((1, "begin"), (2, "end"), (3, "strides"))
    )
    rank = len(source.shape)
    if not len(begins) == len(ends) == len(steps) == rank or 0 in steps:
        raise unsupported(operator, source, f"is sliced by {begins}, {ends}, {steps}", f"{rank} bounds, strides not 0")
    for mask in ("ellipsis_mask", "new_axis_mask", "offset"):
        if operator.options.get(mask, 0):
            raise unsupported(operator, source, f"is sliced with {mask}", "begin, end and shrink_axis masks")
    taken = [
        _slice_of_axis(operator, axis, source.shape[axis], begins[axis], ends[axis], steps[axis])
        for axis in range(rank)
    ]
    if output.elements == 0 or output.elements != int(np.prod([len(indices) for indices in taken])):
        raise unsupported(operator, output, f"has shape {list(output.shape)}", "the shape of the slice, not empty")
    strides = dense_strides(source.shape)
    start = sum(indices[0] * stride for indices, stride in zip(taken, strides, strict=True))
    moves = [indices.step * stride for indices, stride in zip(taken, strides, strict=True)]
    return _strided_copy(operator, source, [len(indices) for indices in taken], moves, start)


def _permutation(operator: Operator, source: Tensor) -> list[int] | None:
    """The constant permutation of all axes of a TRANSPOSE; None where it is something else."""
    axes = operator.inputs[1] if len(operator.inputs) == 2 else None
    if axes is None or axes.data is None:
        return None
    permutation = [int(axis) for axis in axes.data.reshape(-1)]
    return permutation if sorted(permutation) == list(range(len(source.shape))) else None


def _keeps_elements(operator: Operator, source: Tensor) -> bool:
    return source.elements == operator.output.elements


def _keeps_order(operator: Operator, source: Tensor) -> bool:
    """Whether a TRANSPOSE moves axes of size 1 only."""
    axes = _permutation(operator, source)
    if axes is None or operator.output.shape != tuple(source.shape[axis] for axis in axes):
        return False
    longer = [axis for axis in axes if source.shape[axis] > 1]
    return longer == sorted(longer)


def _takes_all(operator: Operator, source: Tensor) -> bool:
    """Whether a STRIDED_SLICE takes the whole tensor, which has the slice's shape then, and not backwards."""
    strides = operator.optional_input(3)
    same = source.shape == operator.output.shape and source.quantisation is not None
    return same and strides is not None and strides.data is not None and bool(np.all(strides.data == 1))


def _reshaped(operator: Operator) -> np.ndarray | None:
    return operator.input(0).values.reshape(operator.output.shape)


def _transposed(operator: Operator) -> np.ndarray | None:
    axes = _permutation(operator, operator.input(0))
    moved = None if axes is None else np.ascontiguousarray(operator.input(0).values.transpose(axes))
    return moved if moved is not None and moved.shape == operator.output.shape else None


def _constant_channel(operator: Operator, value: int) -> int:
    return value


def _float_reshape(operator: Operator, x: "torch.Tensor", *_: "torch.Tensor | None") -> "torch.Tensor":
    return x.reshape(len(x), *operator.output.shape[1:])


def _float_transpose(operator: Operator, x: "torch.Tensor", order: "torch.Tensor") -> "torch.Tensor":
    return x.permute([int(axis) for axis in order])


def _integer_reshape(operator: Operator) -> IntegerLayer:
    return lambda inputs: _float_reshape(operator, inputs[0])


def _integer_transpose(operator: Operator) -> IntegerLayer:
    axes = constant_integers(operator, 1, "permutation")
    return lambda inputs: inputs[0].permute(axes)


_RESHAPE = OperatorDescriptor(
    name="RESHAPE",
    lower=_lower_reshape,
    versions={"int8": 1, "int16": 1},
    tflm_types=INT8_AND_INT16,
    keeps_quantisation=True,
    passes_offsets=True,
    is_reshape=True,
    moves_nothing=_keeps_elements,
    fold=_reshaped,
    constant_channel=_constant_channel,
    float_function=_float_reshape,
    integer_layer=_integer_reshape,
)

# An export writes RESHAPE alone.
_NOT_WRITTEN: dict[str, Any] = {
    "versions": {},
    "tflm_types": frozenset(),
    "float_function": None,
    "integer_layer": None,
}

OPERATORS = (
    dataclasses.replace(_RESHAPE, name="EXPAND_DIMS", **_NOT_WRITTEN),
    _RESHAPE,
    dataclasses.replace(_RESHAPE, name="SQUEEZE", **_NOT_WRITTEN),
    OperatorDescriptor(
        name="STRIDED_SLICE",
        lower=_lower_strided_slice,
        tflm_types=INT8,
        moves_nothing=_takes_all,
    ),
    OperatorDescriptor(
        name="TRANSPOSE",
        lower=_lower_transpose,
        versions={"int8": 2, "int16": 5},
        tflm_types=INT8_AND_INT16,
        keeps_quantisation=True,
        moves_nothing=_keeps_order,
        fold=_transposed,
        float_function=_float_transpose,
        integer_layer=_integer_transpose,
    ),
)
