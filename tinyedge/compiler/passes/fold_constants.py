"""Moves of constants are made at compile time."""

import numpy as np

from tinyedge.ops import descriptor_of
from tinyedge.tflite.graph import Graph, Operator


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
    source, fold = operator.optional_input(0), descriptor_of(operator).fold
    if fold is None or source is None or source.data is None or len(operator.outputs) != 1:
        return None
    if source.dtype != operator.output.dtype or source.elements != operator.output.elements:
        return None
    return fold(operator)
