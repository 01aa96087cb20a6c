"""Rewrites of the graph that keep every output bit of TFLite Micro: one file a pass."""

from tinyedge.compiler.graph import Graph
from tinyedge.compiler.passes.alias_identities import alias_identities
from tinyedge.compiler.passes.alias_reshapes import alias_reshapes
from tinyedge.compiler.passes.alias_transposes import alias_transposes
from tinyedge.compiler.passes.fold_constants import fold_constants
from tinyedge.compiler.passes.fold_padding import fold_padding
from tinyedge.compiler.passes.fuse_tables import fuse_tables
from tinyedge.compiler.passes.remove_dead import remove_dead

# Views come after the passes that ask who reads a tensor: a view reads its base without an operator.
PASSES = (fold_constants, fold_padding, fuse_tables, alias_identities, alias_transposes, alias_reshapes, remove_dead)


def simplify(graph: Graph) -> None:
    """Run all passes on the graph, in place and in order."""
    for rewrite in PASSES:
        rewrite(graph)
