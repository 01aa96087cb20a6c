"""What anybody's converted graph needs besides the canonical form: fewer operators over the same function."""

import dataclasses

from tinyedge.tflite.graph import Graph, Operator, Tensor

Order = tuple[int, ...]
"""Which axis of an old tensor each axis of a new one is."""


def without_outer_transposes(graph: Graph) -> tuple[Graph, tuple[Order, ...]]:
    """Leave out transpositions of whole inputs and outputs: whoever runs the graph arranges those so.

    Returns:
        The graph, and the order of each of its inputs; that of one that stays is 0, 1, 2 ...
    """
    readers = graph.readers()
    writers = {tensor: operator for operator in graph.operators for tensor in operator.outputs}
    replaced: dict[Tensor, Tensor] = {}
    left_out: list[Operator] = []
    inputs, outputs, orders = [], [], []
    for tensor in graph.inputs:
        transposes = readers.get(tensor, [])
        order = _common_order(transposes, graph.outputs)
        if order is not None and tensor not in graph.outputs:
            tensor = dataclasses.replace(tensor, shape=tuple(tensor.shape[axis] for axis in order))
            replaced.update((operator.output, tensor) for operator in transposes)
            left_out += transposes
        inputs.append(tensor)
        orders.append(order or tuple(range(len(tensor.shape))))
    for tensor in graph.outputs:
        writer = writers.get(tensor)
        if writer is not None and _order(writer) is not None and tensor not in readers:
            source = writer.input(0)
            if source in writers and source not in replaced and source not in graph.outputs:
                replaced[source] = dataclasses.replace(source, name=tensor.name)
                left_out.append(writer)
                tensor = replaced[source]
        outputs.append(tensor)
    operators = [_reconnected(operator, replaced) for operator in graph.operators if operator not in left_out]
    found = dataclasses.replace(graph, operators=operators, inputs=tuple(inputs), outputs=tuple(outputs))
    return found, tuple(orders)


def _common_order(operators: list[Operator], outputs: tuple[Tensor, ...]) -> Order | None:
    """Return the order of transpositions that all do the same to one tensor, within its batch; None if they do not."""
    orders = {_order(operator) for operator in operators}
    if len(orders) != 1 or any(operator.output in outputs for operator in operators):
        return None
    return orders.pop()


def _order(operator: Operator) -> Order | None:
    """Return the order of a TRANSPOSE that leaves the batch first; None of another operator."""
    axes = operator.optional_input(1)
    if operator.op != "TRANSPOSE" or axes is None or axes.data is None or axes.data[0] != 0:
        return None
    return tuple(int(axis) for axis in axes.data)


def _reconnected(operator: Operator, tensors: dict[Tensor, Tensor]) -> Operator:
    return dataclasses.replace(
        operator,
        inputs=tuple(None if tensor is None else tensors.get(tensor, tensor) for tensor in operator.inputs),
        outputs=tuple(tensors.get(tensor, tensor) for tensor in operator.outputs),
    )
