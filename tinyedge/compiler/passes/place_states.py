"""What an inference leaves for the next one is written where that one finds it.

After it, every state is one tensor with memory of its own, outside the arena.
"""

import dataclasses
from collections.abc import Collection

from tinyedge.tflite.graph import Graph, Operator, Tensor


def place_states(graph: Graph) -> None:
    """Let the operators that compute new states write them in place of the old ones, or add copies.

    A new state may take the place of the old one as soon as no operator reads that any more. It is copied at the end
    where it is written before, where it is an input of the model, or another state as it was.
    """
    found = {state.before.storage for state in graph.states}
    graph.outputs = tuple(_apart(graph, output, found) for output in graph.outputs)
    states = []
    for state in graph.states:
        before = state.before.storage
        others = found - {before}
        states.append(dataclasses.replace(state, after=_apart(graph, state.after, others)))
    placed = []
    for state in states:
        if state.after.storage is not state.before.storage:
            if _may_take_its_place(graph, state.after.storage, state.before.storage):
                state.after.storage.base = state.before
            else:
                graph.operators.append(_copy(state.after, state.before))
        placed.append(dataclasses.replace(state, after=state.before))
    graph.states = tuple(placed)


def _apart(graph: Graph, tensor: Tensor, states: Collection[Tensor]) -> Tensor:
    """A tensor, or a copy of it where its memory is a state's."""
    if tensor.storage not in states:
        return tensor
    copied = dataclasses.replace(tensor, name=f"{tensor.name}/copy", base=None)
    graph.operators.append(_copy(tensor, copied))
    return copied


def _copy(source: Tensor, output: Tensor) -> Operator:
    return Operator("RESHAPE", (source,), (output,))


def _may_take_its_place(graph: Graph, new: Tensor, old: Tensor) -> bool:
    """Whether the operator that writes one storage comes after all that read the other."""
    if new.is_constant or new.bytes != old.bytes or new in {tensor.storage for tensor in graph.sources}:
        return False
    written = [at for at, operator in enumerate(graph.operators) if _touches(operator.outputs, new)]
    read = [at for at, operator in enumerate(graph.operators) if _touches(operator.inputs, old)]
    return min(written) > max(read, default=-1)


def _touches(tensors: Collection[Tensor | None], storage: Tensor) -> bool:
    return any(tensor is not None and tensor.storage is storage for tensor in tensors)
