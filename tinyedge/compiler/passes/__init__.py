"""Rewrites of the graph that keep every output bit of TFLite Micro: one file a pass.

`detection_codes` and `separate_outputs` are not among `PASSES`, for the others and the lowering need them, nor is
`cascade_layers`: it comes after the lowering and joins kernel calls.
"""

from collections.abc import Collection

from tinyedge.compiler.passes.alias_views import alias_views
from tinyedge.compiler.passes.detection_codes import detection_codes
from tinyedge.compiler.passes.fold_constants import fold_constants
from tinyedge.compiler.passes.fold_dilation import fold_dilation
from tinyedge.compiler.passes.fold_padding import fold_padding
from tinyedge.compiler.passes.fuse_tables import fuse_tables
from tinyedge.compiler.passes.place_states import place_states
from tinyedge.compiler.passes.remove_constant_channels import remove_constant_channels
from tinyedge.compiler.passes.remove_dead import remove_dead
from tinyedge.compiler.passes.separate_outputs import separate_outputs
from tinyedge.tflite.graph import Graph

# Views come after the passes that ask who reads a tensor: a view reads its base without an operator.
PASSES = (
    fold_constants,
    fold_dilation,
    fold_padding,
    fuse_tables,
    remove_constant_channels,
    alias_views,
    remove_dead,
)
PASS_NAMES = tuple(rewrite.__name__ for rewrite in PASSES)


def simplify(graph: Graph, without: Collection[str] = ()) -> None:
    """Run the passes on the graph, in place and in order, then place what it keeps between inferences.

    Args:
        graph: Is changed.
        without: Names of passes to leave out, from `PASS_NAMES`.
    """
    detection_codes(graph)
    separate_outputs(graph)
    for rewrite in PASSES:
        if rewrite.__name__ not in without:
            rewrite(graph)
    place_states(graph)
