"""Operators that only move data."""

from collections.abc import Iterator

from tinyedge.checks.aot import run_passes
from tinyedge.checks.lint_warning import LintWarning
from tinyedge.checks.rules.layout import transposes_around_convolutions
from tinyedge.tflite.graph import Operator
from tinyedge.tflite.inspection import Inspection, inspect_tflite

# So many of a kind are a pattern and no accident; such a share of the activations' traffic is felt.
_MANY = 3
_SHARE = 0.1
_HINTS = {
    "TRANSPOSE": "keep one layout through the network",
    "RESHAPE": "keep images 4-D through the network",
    "PAD": "let the convolutions pad, with zeros and in height and width only",
}


def check_moves(inspection: Inspection) -> Iterator[LintWarning]:
    """Find moves that the network could do without; those that the compiler makes vanish do not count."""
    graph = inspection.graphs[0]
    if not any(sum(operator.op == op for operator in graph.operators) >= _MANY for op in _HINTS):
        return
    left = _left_by_the_compiler(inspection)
    beside = {operator.index for operator in transposes_around_convolutions(graph)}
    traffic = sum(_moved_bytes(operator) for operator in graph.operators)
    for op, hint in _HINTS.items():
        movers = [o for o in graph.operators if o.op == op and o.index in left and o.index not in beside]
        moved = sum(_moved_bytes(operator) for operator in movers)
        if len(movers) >= _MANY and moved >= _SHARE * traffic:
            yield LintWarning(
                f"many-{op.lower()}",
                f"{len(movers)} {op} operators move {moved:,} bytes and compute nothing: {hint}",
                tuple(operator.index for operator in movers),
            )


def _left_by_the_compiler(inspection: Inspection) -> set[int]:
    copy = inspect_tflite(inspection.path).graphs[0]
    run_passes(copy)
    return {operator.index for operator in copy.operators}


def _moved_bytes(operator: Operator) -> int:
    return sum(t.bytes for t in (*operator.inputs, *operator.outputs) if t is not None and not t.is_constant)
