"""Operators whose output is the bytes of their input: it becomes a view, and nothing is copied."""

from tinyedge.ops import descriptor_of
from tinyedge.tflite.graph import Graph, Operator, Tensor


def alias_views(graph: Graph) -> None:
    """Replace by views: reshapes, QUANTIZE to the same scale, moves of nothing and slices of everything.

    A view has its own shape and quantisation, so the operators that read it see no difference. TFLite Micro never
    rescales in a reshape, whatever the quantisation of the output says.
    """
    kept = []
    for operator in graph.operators:
        source = operator.optional_input(0)
        if source is None or not _is_view(operator, source):
            kept.append(operator)
        else:
            operator.output.base = source
    graph.operators[:] = kept


def _is_view(operator: Operator, source: Tensor) -> bool:
    moves_nothing = descriptor_of(operator).moves_nothing
    return (
        moves_nothing is not None
        and len(operator.outputs) == 1
        and not source.is_constant
        and source.dtype == operator.output.dtype
        and moves_nothing(operator, source)
    )
