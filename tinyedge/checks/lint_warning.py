"""Something about a model that its owner should know."""

from collections.abc import Sequence
from dataclasses import dataclass

from tinyedge.tflite.graph import Operator

_MOST_NAMED = 6


@dataclass(frozen=True)
class LintWarning:
    """A warning with its hint.

    Attributes:
        code: What kind it is, for machines: "float-island".
        sentence: What, where, why it matters, and what to do.
        operators: The indices of the operators that it is about; empty if it is about the model.
    """

    code: str
    sentence: str
    operators: tuple[int, ...] = ()


def named(operators: Sequence[Operator]) -> str:
    """Name operators in a sentence: "operators 3 (EXP) and 7 (GELU)", the first few of many."""
    shown = [f"{operator.index} ({operator.op})" for operator in operators[:_MOST_NAMED]]
    if len(operators) > _MOST_NAMED:
        shown.append(f"{len(operators) - _MOST_NAMED} more")
    listed = shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
    return f"operator{'s' if len(operators) > 1 else ''} {listed}"


def about(code: str, operators: Sequence[Operator], problem: str, hint: str) -> LintWarning:
    """Make a warning: the problem, the operators that have it, the hint."""
    return LintWarning(code, f"{problem}, in {named(operators)}: {hint}", tuple(o.index for o in operators))
