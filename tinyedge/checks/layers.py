"""What each operator of a model costs: multiply-accumulates, parameters, weights and the activations alive with it."""

from collections.abc import Iterable
from dataclasses import dataclass

from tinyedge.compiler.program import Program
from tinyedge.ops import descriptor_of, operator_macs, operator_parameters
from tinyedge.tflite.graph import Graph, Tensor


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
        parameters: Values of the constants that it computes with, counted with the first operator that reads them.
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
        constants = [tensor for tensor in operator_parameters(operator) if tensor not in seen]
        seen.update(constants)
        layers.append(
            Layer(
                index=operator.index,
                op=operator.op,
                version=operator.version,
                name=operator.outputs[0].name if operator.outputs else "",
                output_shape=operator.outputs[0].shape if operator.outputs else (),
                macs=operator_macs(operator),
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
    written = (None if output is None else _record(output) for output in outputs)
    return tuple(
        program.plan.alive_bytes(steps[output]) if output is not None and output in steps else None
        for output in written
    )


def _record(output: Tensor) -> Tensor:
    """What a kernel writes that makes several outputs at once; of another output, itself."""
    return output.storage if output.bytes < output.storage.bytes else output


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
            # Every runtime gives a reshape the memory of its input, or could.
            if descriptor_of(operator).is_reshape and source is not None and not source.is_constant:
                storage[tensor] = storage.get(source, source)
            touch(tensor, step)
    for tensor in graph.outputs:
        touch(tensor, len(graph.operators))
    return [
        sum(tensor.bytes for tensor, (first, last) in lifetimes.items() if first <= step <= last)
        for step in range(len(graph.operators))
    ]
