"""Operators that copy elements: which element of the input each one of the output is.

Their lowerings know it for int8 and say it in the parameters of the two kernels that move data. The same order holds in
float, and in training, so that nothing is said twice.
"""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, TypedDict
from weakref import WeakKeyDictionary

import numpy as np

from tinyedge.ops.descriptor import FloatFunction, IntegerLayer, Lowering, one_scale
from tinyedge.ops.kernel_call import ConstantArray, KernelCall
from tinyedge.tflite.graph import Operator

if TYPE_CHECKING:
    import torch

_ANY_QUANTISATION = one_scale(1.0, 0)


class MoveInTorch(TypedDict):
    """The members of a descriptor that say what an operator is in PyTorch."""

    float_function: FloatFunction
    integer_layer: Callable[[Operator], IntegerLayer]


def in_torch(lowering: Lowering) -> MoveInTorch:
    """What an operator is in PyTorch whose kernel copies elements."""
    return {"float_function": _float_function(lowering), "integer_layer": _integer_layer(lowering)}


def of_codes(function: FloatFunction) -> Callable[[Operator], IntegerLayer]:
    """The integer layer of an operator that does with codes of one quantisation what it does with reals."""

    def layer(operator: Operator) -> IntegerLayer:
        from tinyedge.ops.arithmetic.integers import all_operands

        return lambda inputs: function(operator, *all_operands(operator, inputs))

    return layer


def source_positions(operator: Operator, lowering: Lowering) -> np.ndarray:
    """Return the position in the input of each element of the output, both in the order of memory, (elements,) int64.

    Args:
        operator: Of any type, that copies its only activation, which is its first input.
        lowering: Its own, to `te_strided_copy` or `te_gather`.

    Raises:
        UnsupportedOpError: There is no kernel for this form of it.
    """
    source, output = (
        dataclasses.replace(tensor, dtype=np.dtype(np.int8), quantisation=_ANY_QUANTISATION)
        for tensor in (operator.input(0), operator.output)
    )
    call = lowering(dataclasses.replace(operator, inputs=(source, *operator.inputs[1:]), outputs=(output,)))
    positions = _gathered(call) if "columns" in call.fields else _strided(call)
    return positions.reshape(-1)


def _strided(call: KernelCall) -> np.ndarray:
    positions: np.ndarray = np.array(call.fields["start"], np.int64)
    for size, stride in zip(_integers(call, "dims"), _integers(call, "strides"), strict=True):
        positions = positions[..., None] + np.arange(size) * stride
    return positions


def _gathered(call: KernelCall) -> np.ndarray:
    images, image, values = (np.arange(int(_integers(call, name))) for name in ("images", "image", "values"))
    rows, columns = _integers(call, "rows"), _integers(call, "columns")
    pixels = images[:, None, None] * len(image) + rows[:, None] + columns
    positions: np.ndarray = pixels[..., None] + values
    return positions


def _integers(call: KernelCall, name: str) -> np.ndarray:
    field = call.fields[name]
    return np.asarray(field.values if isinstance(field, ConstantArray) else field, np.int64)


def _float_function(lowering: Lowering) -> FloatFunction:
    known: WeakKeyDictionary[Operator, np.ndarray] = WeakKeyDictionary()  # Of operators, which do not change.

    def function(operator: Operator, x: "torch.Tensor", *_: "torch.Tensor | None") -> "torch.Tensor":
        if operator not in known:
            known[operator] = source_positions(operator, lowering)
        return _move(operator, known[operator], x)

    return function


def _integer_layer(lowering: Lowering) -> Callable[[Operator], IntegerLayer]:
    def layer(operator: Operator) -> IntegerLayer:
        positions = source_positions(operator, lowering)
        return lambda inputs: _move(operator, positions, inputs[0])

    return layer


def _move(operator: Operator, positions: np.ndarray, x: "torch.Tensor") -> "torch.Tensor":
    import torch

    from tinyedge.ops.arithmetic.floats import batched

    moved = x.reshape(-1, operator.input(0).elements).index_select(1, torch.from_numpy(positions))
    return batched(operator, moved)
