"""What a runtime says of a model."""

import re
from dataclasses import dataclass

from tinyedge.compiler.reader import Refusal

TITLES = {"aot": "tinyedge compile", "tflm": "TFLite Micro", "litert": "LiteRT"}
"""The names of the runtimes in sentences."""

MICROCONTROLLER_RUNTIMES = ("aot", "tflm")


@dataclass(frozen=True)
class RuntimeVerdict:
    """Whether a runtime takes a model.

    Attributes:
        runtime: "aot", "tflm" or "litert".
        takes: Whether it does; None where nobody could be asked.
        proof: How that is known: "compiled"; "ran", loaded and run once; "by its list" of operators; "not installed".
        refusals: Everything that stands against it, in the order of the operators; those of no operator come first.
        arena_bytes: RAM for activations and the interpreter's own; None where it is not known.
    """

    runtime: str
    takes: bool | None
    proof: str
    refusals: tuple[Refusal, ...] = ()
    arena_bytes: int | None = None

    @property
    def refused_operators(self) -> frozenset[int]:
        """The indices of the operators that it does not take."""
        return frozenset(refusal.operator for refusal in self.refusals if refusal.operator is not None)


_JOINED_NAMES = re.compile(r"'[^'\s]*;([^'\s;]+)'")


def in_order(refusals: list[Refusal]) -> tuple[Refusal, ...]:
    """Sort refusals by operator, those of none first, and drop repetitions.

    Converters join the names of all that they fused with semicolons; the last, the operator's own, is kept.
    """
    told = dict.fromkeys(Refusal(_JOINED_NAMES.sub(r"'\1'", r.sentence), r.operator) for r in refusals)
    return tuple(sorted(told, key=lambda refusal: -1 if refusal.operator is None else refusal.operator))
