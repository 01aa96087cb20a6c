"""Rewrites of the graph that keep every output bit: one file a pass, run in this order."""

from tinyedge.compiler.graph import Graph
from tinyedge.compiler.passes.alias_reshapes import alias_reshapes


def simplify(graph: Graph) -> None:
    """Run all passes on the graph, in place."""
    alias_reshapes(graph)
