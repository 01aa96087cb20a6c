"""ONNX nodes that onnx2tf converts badly, each written as others that it converts well.

The model is folded and of static shapes; each function here says what goes wrong without it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx


def rewrite(model: "onnx.ModelProto") -> None:
    """Rewrite a folded model in place."""
    rewriter = _Rewriter(model)
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        rule = _RULES.get(node.op_type)
        nodes.extend([node] if rule is None else rule(rewriter, node))
    del model.graph.node[:]
    model.graph.node.extend(nodes)


class _Rewriter:
    """The constants and shapes of a model, and the constants that rewrites add to it."""

    def __init__(self, model: "onnx.ModelProto") -> None:
        self._graph = model.graph
        self._shapes = {
            value.name: tuple(dimension.dim_value for dimension in value.type.tensor_type.shape.dim)
            for value in (*model.graph.input, *model.graph.value_info, *model.graph.output)
        }

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of an activation."""
        return self._shapes[name]

    def integers(self, name: str, *values: int) -> str:
        """Add a constant of integers; return its name."""
        import onnx

        self._graph.initializer.append(onnx.numpy_helper.from_array(np.array(values, np.int64), name))
        return name


def _slices(rewriter: _Rewriter, node: "onnx.NodeProto") -> "list[onnx.NodeProto]":
    """A Split of more than four axes, as of queries, keys and values, gets outputs of dynamic shapes."""
    import onnx

    axis = next((entry.i for entry in node.attribute if entry.name == "axis"), 0) % len(rewriter.shape(node.input[0]))
    slices, start = [], 0
    for output in node.output:
        size = rewriter.shape(output)[axis]
        limits = [
            rewriter.integers(f"{output}/{name}", value)
            for name, value in (("start", start), ("end", start + size), ("axis", axis))
        ]
        slices.append(onnx.helper.make_node("Slice", [node.input[0], *limits], [output], name=f"{node.name}/{output}"))
        start += size
    return slices


_Rule = Callable[[_Rewriter, "onnx.NodeProto"], "list[onnx.NodeProto]"]
_RULES: dict[str, _Rule] = {"Split": _slices}
