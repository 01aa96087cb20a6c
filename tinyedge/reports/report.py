"""`tinyedge report` as a function: sources in, one page out."""

import hashlib
import string
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tinyedge.atomic import write_text
from tinyedge.boards.board import board_names, load_board
from tinyedge.reports.page import render_page
from tinyedge.reports.source import Source
from tinyedge.reports.subject import examine

SCHEMA = 1


@dataclass(frozen=True)
class ReportSubject:
    """What a report is about.

    Attributes:
        name: As the report calls it.
        path: As it was given.
        model: The quantised file; None of a run that is not exported.
        sha256: Of that file; "" without one.
    """

    name: str
    path: str
    model: str | None
    sha256: str


@dataclass(frozen=True)
class WrittenReport:
    """A report that was written.

    Attributes:
        path: The page.
        bytes: Its size.
        sha256: Of it.
        subjects: What it is about.
        shown: By section, the names of the subjects that it shows something of.
        missing: By section, the commands that would make what it lacks.
    """

    path: Path
    bytes: int
    sha256: str
    subjects: tuple[ReportSubject, ...]
    shown: dict[str, list[str]]
    missing: dict[str, list[str]]

    def to_json(self) -> dict[str, Any]:
        """Return it as the documented JSON object."""
        return {"schema": SCHEMA, **asdict(self), "path": str(self.path)}


def write_report(sources: Sequence[Source], page: Path, command: str, announce: Callable[[str], None]) -> WrittenReport:
    """Check every source's model and write the page.

    Args:
        sources: At least one.
        page: The file, which may be replaced.
        command: That asked for it.
        announce: Called with the name of each step when it begins.

    Raises:
        ModelError: A model is no TFLite model.
        TinyEdgeError: The page cannot be written.
    """
    boards = [load_board(name) for name in board_names()]
    subjects = []
    for index, source in enumerate(sources):
        announce(f"checking {source.name}")
        letter = "" if len(sources) == 1 else string.ascii_uppercase[index % 26]
        subjects.append(examine(source, boards, letter))
    announce("writing the page")
    rendered = render_page(subjects, command)
    write_text(page, rendered.html)
    content = rendered.html.encode()
    return WrittenReport(
        path=page,
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        subjects=tuple(
            ReportSubject(one.name, str(one.given), None if one.model is None else str(one.model), one.model_sha256)
            for one in sources
        ),
        shown=rendered.shown,
        missing=rendered.missing,
    )
