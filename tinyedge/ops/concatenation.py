"""CONCATENATION and PACK: tensors side by side along an axis."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tinyedge.ops.descriptor import INT8_AND_INT16, Lowering, OperatorDescriptor
from tinyedge.ops.kernel_call import ConstantArray, Kernel, KernelCall
from tinyedge.ops.moves import of_codes
from tinyedge.ops.rules import (
    element,
    quantised_input,
    quantised_output,
    same_quantisation,
    tensor_input,
    unsupported,
)
from tinyedge.tflite.graph import Operator, Tensor

if TYPE_CHECKING:
    import torch

_KERNELS = {element: Kernel(f"te_concatenation_{element}", "te_concatenation_params") for element in ("s8", "s16")}


def _lower(operator: Operator) -> KernelCall:
    """Lower CONCATENATION of tensors in one quantisation."""
    output, sources = _parts(operator)
    first = tensor_input(operator, 0, "input")
    rank = len(first.shape)
    axis = operator.options.get("axis", 0)
    axis += rank if axis < 0 else 0
    if operator.options.get("fused_activation_function", "NONE") != "NONE":
        raise unsupported(operator, output, "has a fused activation", "CONCATENATION without one")
    joined = sum(source.shape[axis] for source in sources if len(source.shape) == rank > axis >= 0)
    expected = (*first.shape[:axis], joined, *first.shape[axis + 1 :])
    others = {(*source.shape[:axis], *source.shape[axis + 1 :]) for source in sources}
    if not 0 <= axis < rank or output.shape != expected or len(others) != 1:
        raise unsupported(
            operator,
            output,
            f"has shape {list(output.shape)} along axis {axis}",
            f"inputs, here {', '.join(str(list(source.shape)) for source in sources)}, that join to it",
        )
    return _call(operator, sources, int(np.prod(first.shape[:axis], dtype=np.int64)))


def _lower_pack(operator: Operator) -> KernelCall:
    """Lower PACK, which gives each input an index of a new axis."""
    output, sources = _parts(operator)
    shape = sources[0].shape
    axis = operator.options.get("axis", 0)
    axis += len(shape) + 1 if axis < 0 else 0
    if (
        not 0 <= axis <= len(shape)
        or any(source.shape != shape for source in sources)
        or output.shape != (*shape[:axis], len(sources), *shape[axis:])
    ):
        raise unsupported(
            operator,
            output,
            f"has shape {list(output.shape)} along axis {axis}",
            f"inputs, here {', '.join(str(list(source.shape)) for source in sources)}, that stack to it",
        )
    return _call(operator, sources, int(np.prod(shape[:axis], dtype=np.int64)))


def _parts(operator: Operator) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The output and the inputs, of which one at least is computed, all in one quantisation."""
    output = quantised_output(operator)
    sources = tuple(quantised_input(operator, position) for position in range(len(operator.inputs)))
    if all(source.is_constant for source in sources):
        raise unsupported(operator, output, "joins constants only", f"{operator.op} of an activation")
    for source in sources:
        if not same_quantisation(source, output):
            raise unsupported(operator, source, "is rescaled", "inputs with the output's scale and zero point")
    return output, sources


def _call(operator: Operator, sources: Sequence[Tensor], outer: int) -> KernelCall:
    """The call for `outer` rows, each of which is the next so many elements of every tensor."""
    output = operator.output
    inner = np.array([source.elements // outer for source in sources], dtype=np.int32)
    constants = [source for source in sources if source.is_constant]
    starts, start = [], 0
    for source in sources:
        starts.append(start if source.is_constant else -1)
        start += source.elements if source.is_constant else 0
    return KernelCall(
        kernel=_KERNELS[element(output)],
        fields={
            "parts": len(sources),
            "outer": outer,
            "inner": ConstantArray(inner),
            "constants": ConstantArray(np.concatenate([c.values.reshape(-1) for c in constants]))
            if constants
            else None,
            "starts": ConstantArray(np.array(starts, dtype=np.int32)) if constants else None,
        },
        inputs=tuple(source for source in sources if not source.is_constant),
        output=output,
        op=operator.op,
        name=output.name,
        inputs_as_array=True,
    )


def _concatenated(operator: Operator) -> np.ndarray | None:
    joined: np.ndarray = np.concatenate(_constants(operator), operator.options.get("axis", 0))
    return joined


def _packed(operator: Operator) -> np.ndarray | None:
    stacked: np.ndarray = np.stack(_constants(operator), operator.options.get("axis", 0))
    return stacked


def _constants(operator: Operator) -> list[np.ndarray]:
    return [operator.input(position).values for position in range(len(operator.inputs))]


def _float(operator: Operator, *values: "torch.Tensor") -> "torch.Tensor":
    """Join what lies along an axis; that of a PACK is new, so that each input has a size of 1 there."""
    import torch

    from tinyedge.ops.arithmetic.floats import batched

    rank = len(operator.output.shape)
    axis = operator.options.get("axis", 0) % rank
    pieces = [
        value.reshape(-1, *tensor.shape[:axis], *[1] * (rank - len(tensor.shape)), *tensor.shape[axis:])
        for tensor, value in zip(operator.inputs, values, strict=True)
        if tensor is not None
    ]
    count = max(len(piece) for piece in pieces)  # A constant is the same for each input of the batch.
    return batched(operator, torch.cat([piece.expand(count, *piece.shape[1:]) for piece in pieces], axis + 1))


def _describe(
    name: str,
    lowering: Lowering,
    fold: Callable[[Operator], np.ndarray | None],
    versions: dict[str, int],
) -> OperatorDescriptor:
    return OperatorDescriptor(
        name=name,
        inputs=(1, None),
        lower=lowering,
        versions=versions,
        tflm_types=INT8_AND_INT16,
        keeps_quantisation=True,
        fold=fold,
        float_function=_float,
        integer_layer=of_codes(_float),
    )


OPERATORS = (
    _describe("CONCATENATION", _lower, _concatenated, {"int8": 2, "int16": 3}),
    _describe("PACK", _lower_pack, _packed, {"int8": 2, "int16": 3}),
)
