"""A TRANSPOSE that only moves dimensions of size 1 moves no byte: its output becomes a view."""

from tinyedge.tflite.graph import Graph, Operator, Tensor


def alias_transposes(graph: Graph) -> None:
    """Replace every TRANSPOSE of an activation that leaves the order of its longer dimensions by a view."""
    kept = []
    for operator in graph.operators:
        source = _unmoved(operator)
        if source is None:
            kept.append(operator)
        else:
            operator.output.base = source
    graph.operators[:] = kept


def _unmoved(operator: Operator) -> Tensor | None:
    """The input of a TRANSPOSE that moves nothing."""
    if operator.op != "TRANSPOSE" or len(operator.inputs) != 2 or len(operator.outputs) != 1:
        return None
    source, permutation = operator.inputs
    if source is None or source.is_constant or permutation is None or permutation.data is None:
        return None
    axes = [int(axis) for axis in permutation.data.reshape(-1)]
    rank = len(source.shape)
    if sorted(axes) != list(range(rank)) or operator.output.shape != tuple(source.shape[axis] for axis in axes):
        return None
    longer = [axis for axis in axes if source.shape[axis] > 1]
    return source if longer == sorted(longer) else None
