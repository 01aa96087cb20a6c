"""What a runtime says of a model."""

import re
from dataclasses import dataclass

from tinyedge.tflite.inspection import Diagnostic

TITLES = {"aot": "tinyedge compile", "tflm": "TFLite Micro", "litert": "LiteRT"}
"""The names of the runtimes in sentences."""


@dataclass(frozen=True)
class RuntimeVerdict:
    """Whether a runtime takes a model.

    Attributes:
        runtime: "aot", "tflm" or "litert".
        takes: Whether it does; None where nobody could be asked.
        proof: How that is known: "compiled"; "ran", loaded and run once; "by its list" of operators; "not installed".
        diagnostics: Everything that stands against it, in the order of the operators; those of no operator come first.
        arena_bytes: RAM for activations and the interpreter's own; None where it is not known.
        not_built: Why `tinyedge build` makes no image of a model that the runtime takes; None if it does.
    """

    runtime: str
    takes: bool | None
    proof: str
    diagnostics: tuple[Diagnostic, ...] = ()
    arena_bytes: int | None = None
    not_built: str | None = None

    def reasons(self, most: int) -> tuple[str, ...]:
        """The first sentences that stand against the model."""
        return tuple(diagnostic.sentence for diagnostic in self.diagnostics[:most])

    @property
    def refused_operators(self) -> frozenset[int]:
        """The indices of the operators that it does not take."""
        return frozenset(diagnostic.operator for diagnostic in self.diagnostics if diagnostic.operator is not None)


_JOINED_NAMES = re.compile(r"'[^'\s]*;([^'\s;]+)'")


def in_order(diagnostics: list[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Sort diagnostics by operator, those of none first, and drop repetitions.

    Converters join the names of all that they fused with semicolons; the last, the operator's own, is kept.
    """
    told = dict.fromkeys(Diagnostic(_JOINED_NAMES.sub(r"'\1'", r.sentence), r.operator) for r in diagnostics)
    return tuple(sorted(told, key=lambda diagnostic: -1 if diagnostic.operator is None else diagnostic.operator))
