"""RESHAPE and its kin move nothing: their output becomes a view of their input."""

from tinyedge.tflite.graph import Graph

# They copy the bytes as they are; TFLite Micro never rescales in them, whatever the quantisation of the output says.
RESHAPES = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS"})


def alias_reshapes(graph: Graph) -> None:
    """Replace every reshaping operator of an activation by a view of it.

    A view has its own shape and quantisation, so the operators that read it see no difference.
    """
    kept = []
    for operator in graph.operators:
        source = operator.inputs[0] if operator.inputs else None
        if (
            operator.op in RESHAPES
            and len(operator.outputs) == 1
            and source is not None
            and not source.is_constant
            and source.dtype == operator.output.dtype
            and source.elements == operator.output.elements
        ):
            operator.output.base = source
        else:
            kept.append(operator)
    graph.operators[:] = kept
