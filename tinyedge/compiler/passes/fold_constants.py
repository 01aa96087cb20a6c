"""Moves of constants are made at compile time."""

import numpy as np

from tinyedge.tflite.graph import Graph, Operator

_RESHAPES = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS"})


def fold_constants(graph: Graph) -> None:
    """Replace RESHAPE and TRANSPOSE of constants by constants."""
    kept = []
    for operator in graph.operators:
        value = _value(operator)
        if value is None:
            kept.append(operator)
        else:
            operator.output.data = value
    graph.operators[:] = kept


def _value(operator: Operator) -> np.ndarray | None:
    source = operator.inputs[0] if operator.inputs else None
    if source is None or source.data is None or len(operator.outputs) != 1:
        return None
    shape = operator.output.shape
    if source.dtype != operator.output.dtype or source.elements != operator.output.elements:
        return None
    if operator.op in _RESHAPES:
        return source.data.reshape(shape)
    if operator.op == "TRANSPOSE" and len(operator.inputs) == 2:
        permutation = operator.inputs[1]
        if permutation is None or permutation.data is None:
            return None
        axes = tuple(int(axis) for axis in permutation.data.reshape(-1))
        if sorted(axes) != list(range(len(source.shape))):
            return None
        moved = np.ascontiguousarray(source.data.transpose(axes))
        return moved if moved.shape == shape else None
    return None
