"""An operator of several outputs becomes one an output: a kernel has one."""

from tinyedge.errors import UnsupportedOpError
from tinyedge.ops import descriptor_of
from tinyedge.tflite.graph import Graph, Operator


def separate_outputs(graph: Graph) -> None:
    """Take apart what can be; another operator of several outputs stays, and its lowering says why."""
    graph.operators[:] = [part for operator in graph.operators for part in _parts(operator)]


def _parts(operator: Operator) -> list[Operator]:
    separate = descriptor_of(operator).separate
    if separate is None:
        return [operator]
    try:
        return separate(operator)
    except UnsupportedOpError:
        return [operator]
