"""Operators that copy their input unchanged: their output becomes a view."""

import numpy as np

from tinyedge.tflite.graph import Graph, Operator, Tensor


def alias_identities(graph: Graph) -> None:
    """Replace QUANTIZE to the same scale, PAD by nothing and STRIDED_SLICE of everything by views."""
    kept = []
    for operator in graph.operators:
        source = operator.inputs[0] if operator.inputs else None
        if source is None or source.is_constant or len(operator.outputs) != 1 or not _copies(operator, source):
            kept.append(operator)
        else:
            operator.output.base = source
    graph.operators[:] = kept


def _copies(operator: Operator, source: Tensor) -> bool:
    output = operator.outputs[0]
    if source.shape != output.shape or source.dtype != output.dtype or source.quantisation is None:
        return False
    if operator.op == "QUANTIZE":
        # A factor of exactly 1 passes through the rounding of the requantisation unchanged.
        return source.quantisation.equals(output.quantisation)
    if operator.op in ("PAD", "PADV2"):
        paddings = operator.inputs[1] if len(operator.inputs) > 1 else None
        return paddings is not None and paddings.data is not None and not np.any(paddings.data)
    if operator.op == "STRIDED_SLICE":
        # Of equal shape, so it is the whole tensor unless it runs backwards.
        strides = operator.inputs[3] if len(operator.inputs) > 3 else None
        return strides is not None and strides.data is not None and bool(np.all(strides.data == 1))
    return False
