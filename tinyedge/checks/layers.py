"""What each operator of a model costs: multiply-accumulates, parameters, weights and the activations alive with it."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tinyedge.compiler.program import Program
from tinyedge.tflite.graph import Graph, Operator, Tensor

# Their constants are weights whatever their type; elsewhere an integer constant is a shape, an axis or an index.
WEIGHTED = frozenset({"CONV_2D", "CONV_3D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"})
_INDEX_TYPES = (np.dtype(np.int32), np.dtype(np.int64), np.dtype(np.bool_))
# Every runtime gives them the memory of their input, or could.
_VIEWS = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS"})


@dataclass(frozen=True)
class Layer:
    """One operator's costs.

    Attributes:
        index: The operator's position in the file.
        op: TFLite's name of it.
        version: In the file.
        name: Of its first output.
        output_shape: Of its first output; () if it has none.
        macs: Multiply-accumulates: outputs times kernel volume, padded positions counted.
        parameters: Values of weights and biases, counted with the first operator that reads them.
        weight_bytes: The same in bytes of the file.
        alive_bytes: Activations in memory while it runs: inputs, outputs and what later operators still need. None
            for an operator that the compiler removed, because it moves nothing or joined another.
    """

    index: int
    op: str
    version: int
    name: str
    output_shape: tuple[int, ...]
    macs: int
    parameters: int
    weight_bytes: int
    alive_bytes: int | None


def describe_layers(graph: Graph) -> tuple[Layer, ...]:
    """Return a layer an operator; the activations are those of the graph as it is, reshapes sharing memory."""
    seen: set[Tensor] = set()
    layers = []
    for operator, alive_bytes in zip(graph.operators, _alive_bytes(graph), strict=True):
        constants = [tensor for tensor in _parameters(operator) if tensor not in seen]
        seen.update(constants)
        layers.append(
            Layer(
                index=operator.index,
                op=operator.op,
                version=operator.version,
                name=operator.outputs[0].name if operator.outputs else "",
                output_shape=operator.outputs[0].shape if operator.outputs else (),
                macs=count_macs(operator),
                parameters=sum(tensor.elements for tensor in constants),
                weight_bytes=sum(tensor.bytes for tensor in constants),
                alive_bytes=alive_bytes,
            )
        )
    return tuple(layers)


def planned_bytes(outputs: Iterable[Tensor | None], program: Program) -> tuple[int | None, ...]:
    """Return what the compiler's plan keeps in memory while each operator runs.

    Args:
        outputs: The first output of each operator, in the graph that was compiled.
        program: Of that graph; operators that are no call of it get None.
    """
    steps = {call.output: step for step, call in enumerate(program.calls)}
    return tuple(
        program.plan.alive_bytes(steps[output]) if output is not None and output in steps else None
        for output in outputs
    )


def count_macs(operator: Operator) -> int:
    """Return the multiply-accumulates of an operator; 0 for one that multiplies no weights or matrices."""
    tensors = [tensor for tensor in operator.inputs if tensor is not None]
    if len(tensors) < 2 or not operator.outputs:
        return 0
    first, second, output = tensors[0], tensors[1], operator.outputs[0]
    shape = second.shape
    if operator.op == "CONV_2D":
        return output.elements * math.prod(shape[1:])
    if operator.op == "CONV_3D":
        return output.elements * math.prod(shape[:-1])
    if operator.op == "DEPTHWISE_CONV_2D":
        return output.elements * math.prod(shape[1:3])
    if operator.op == "FULLY_CONNECTED":
        return output.elements * math.prod(shape[-1:])
    if operator.op == "TRANSPOSE_CONV" and len(tensors) > 2:  # The output's shape, the weights, the input.
        return tensors[2].elements * math.prod(shape[:3])
    if operator.op == "BATCH_MATMUL" and len(first.shape) > 1:
        return output.elements * first.shape[-2 if operator.options.get("adj_x") else -1]
    return 0


def _parameters(operator: Operator) -> list[Tensor]:
    constants = dict.fromkeys(tensor for tensor in operator.inputs if tensor is not None and tensor.is_constant)
    return [tensor for tensor in constants if operator.op in WEIGHTED or tensor.dtype not in _INDEX_TYPES]


def _alive_bytes(graph: Graph) -> list[int]:
    storage: dict[Tensor, Tensor] = {}
    lifetimes: dict[Tensor, tuple[int, int]] = dict.fromkeys(graph.inputs, (-1, -1))

    def touch(tensor: Tensor, step: int) -> None:
        owner = storage.get(tensor, tensor)
        first, last = lifetimes.get(owner, (step, step))
        lifetimes[owner] = (first, max(last, step))

    for step, operator in enumerate(graph.operators):
        source = operator.inputs[0] if operator.inputs else None
        for tensor in operator.inputs:
            if tensor is not None and not tensor.is_constant:
                touch(tensor, step)
        for tensor in operator.outputs:
            if operator.op in _VIEWS and source is not None and not source.is_constant:
                storage[tensor] = storage.get(source, source)
            touch(tensor, step)
    for tensor in graph.outputs:
        touch(tensor, len(graph.operators))
    return [
        sum(tensor.bytes for tensor, (first, last) in lifetimes.items() if first <= step <= last)
        for step in range(len(graph.operators))
    ]
