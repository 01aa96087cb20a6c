"""One of the things that a report is about, with what the check found out about its model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tinyedge.boards.board import DEFAULT_BOARD, Board
from tinyedge.checks.check import CheckReport, Examination, examine_model
from tinyedge.compiler.program import Program
from tinyedge.reports.panel import Missing
from tinyedge.reports.source import Source
from tinyedge.shell import command_line

_LARGEST = 1e300


@dataclass(frozen=True, eq=False)
class Subject:
    """What is written down, and what was found out.

    Attributes:
        source: What is written down.
        examination: None of a run that is not exported.
        letter: "A" of the first of several; "" of one alone.
    """

    source: Source
    examination: Examination | None
    letter: str = ""

    @property
    def check(self) -> CheckReport | None:
        """What `tinyedge check` says of the model."""
        return None if self.examination is None else self.examination.report

    @property
    def program(self) -> Program | None:
        """The compiled model with the kernels of the default board, or else with any that there are."""
        programs = {} if self.examination is None else self.examination.programs
        return programs.get(DEFAULT_BOARD) or next(iter(programs.values()), None)

    @property
    def not_exported(self) -> Missing:
        """What a section about the model says without one."""
        return Missing(
            "This run has no INT8 model yet.", command_line("tinyedge", "export", self.source.given, "--int8")
        )

    @property
    def not_compiled(self) -> Missing:
        """What a section about the compiled model says without one."""
        if self.check is None:
            return self.not_exported
        return Missing(
            "tinyedge compile does not take this model.", command_line("tinyedge", "check", self.source.given)
        )


def examine(source: Source, boards: Sequence[Board], letter: str = "") -> Subject:
    """Check a source's model against boards.

    Raises:
        ModelError: It is no TFLite model.
    """
    return Subject(source, None if source.model is None else examine_model(source.model, boards), letter)


def number(record: dict[str, Any], name: str) -> float | None:
    """Return a figure of a record that anybody may have written; None where there is none, or no finite number."""
    return finite(record.get(name))


def finite(value: object) -> float | None:
    """Return a value that anybody may have written as a number; None where it is none, or not finite."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if abs(value) < _LARGEST else None  # NaN is not.
