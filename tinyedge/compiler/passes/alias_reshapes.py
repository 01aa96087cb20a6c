"""RESHAPE and its kin move nothing: their output becomes a view of their input."""

from tinyedge.compiler.graph import Graph

# They copy the bytes as they are; TFLite Micro never rescales in them, whatever the quantisation of the output says.
_RESHAPES = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS"})


def alias_reshapes(graph: Graph) -> None:
    """Replace every reshaping operator by a view, or by a constant where its input is one.

    A view has its own shape and quantisation, so the operators that read it see no difference.
    """
    kept = []
    for operator in graph.operators:
        source = operator.inputs[0] if operator.inputs else None
        if operator.op not in _RESHAPES or source is None or source.bytes != operator.outputs[0].bytes:
            kept.append(operator)
        elif source.data is not None:
            operator.output.data = source.data.reshape(operator.output.shape)
        else:
            operator.output.base = source
    graph.operators[:] = kept
