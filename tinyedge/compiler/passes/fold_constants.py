"""Moves of constants are made at compile time."""

import numpy as np

from tinyedge.ops import descriptor_of
from tinyedge.tflite.graph import Graph, Operator


def fold_constants(graph: Graph) -> None:
    """Replace moves of constants, and the shapes of tensors, by constants."""
    kept = []
    for operator in graph.operators:
        value = _value(operator)
        if value is None:
            kept.append(operator)
        else:
            operator.output.data = value
    graph.operators[:] = kept


def _value(operator: Operator) -> np.ndarray | None:
    descriptor = descriptor_of(operator)
    if descriptor.fold is None or len(operator.outputs) != 1 or not operator.inputs:
        return None
    known = [tensor is not None and (tensor.is_constant or descriptor.folds_shapes) for tensor in operator.inputs]
    try:
        value = descriptor.fold(operator) if all(known) else None
    except (ValueError, OverflowError):  # NumPy's, of shapes that do not fit, and of numbers.
        return None
    output = operator.output
    if value is None or value.dtype != output.dtype or value.shape != output.shape:
        return None
    return np.ascontiguousarray(value).reshape(output.shape)  # Contiguous arrays have an axis at least.
