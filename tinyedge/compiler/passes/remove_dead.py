"""What neither an output nor a state depends on is not computed."""

from tinyedge.tflite.graph import Graph


def remove_dead(graph: Graph) -> None:
    """Remove every operator whose results reach no output of the model and no state that it leaves."""
    needed = {tensor.storage for tensor in graph.results}
    kept = []
    for operator in reversed(graph.operators):
        if any(tensor.storage in needed for tensor in operator.outputs):
            kept.append(operator)
            needed.update(tensor.storage for tensor in operator.inputs if tensor is not None)
    graph.operators[:] = reversed(kept)
