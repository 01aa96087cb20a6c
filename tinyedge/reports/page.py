"""The page: sections filled with what each subject has, as one file that needs nothing else."""

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tinyedge.reports.accuracy import accuracy_by_labels
from tinyedge.reports.boards import boards_verdict
from tinyedge.reports.comparison import compare
from tinyedge.reports.confusion import confusion
from tinyedge.reports.curves import training_curves
from tinyedge.reports.embedding_map import embedding_map
from tinyedge.reports.exactness import bit_exactness
from tinyedge.reports.figures import describe, figures
from tinyedge.reports.flash import flash_by_part
from tinyedge.reports.layers import layer_table
from tinyedge.reports.memory_plan import memory_plan
from tinyedge.reports.panel import Missing
from tinyedge.reports.provenance import provenance
from tinyedge.reports.quantisation import float_against_int8
from tinyedge.reports.speed import speed_by_layer
from tinyedge.reports.subject import Subject
from tinyedge.reports.written import GENERATOR
from tinyedge.version import __version__

_TEMPLATES = Path(__file__).resolve().parent / "templates"


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        name: Its anchor, and the name of its template.
        title: Above it.
        of: What it shows of a subject; None where it has no place.
    """

    name: str
    title: str
    of: Callable[[Subject], Any]


SECTIONS = (
    Section("boards", "Boards", boards_verdict),
    Section("training", "Training", training_curves),
    Section("accuracy", "Accuracy by labels", accuracy_by_labels),
    Section("embedding", "Embedding", embedding_map),
    Section("confusion", "Confusion", confusion),
    Section("quantisation", "Float against INT8", float_against_int8),
    Section("layers", "Layers", layer_table),
    Section("memory", "Memory plan", memory_plan),
    Section("flash", "Flash", flash_by_part),
    Section("speed", "Instructions and cycles", speed_by_layer),
    Section("exactness", "Bit-exactness", bit_exactness),
    Section("provenance", "Provenance", provenance),
)
"""In the order in which they are read."""


@dataclass(frozen=True)
class Panel:
    """What a section shows of one subject.

    Attributes:
        subject: Of whom.
        content: For the section's template; None where its data is not there.
        missing: Why not, and which command makes it.
    """

    subject: Subject
    content: Any
    missing: Missing | None


@dataclass(frozen=True)
class Page:
    """A rendered report.

    Attributes:
        html: The whole file.
        shown: By the section's name, the names of the subjects that it shows something of.
        missing: By the section's name, the commands that would make what it lacks.
    """

    html: str
    shown: dict[str, list[str]]
    missing: dict[str, list[str]]


def render_page(subjects: Sequence[Subject], command: str) -> Page:
    """Return the report about one subject, or the comparison of several.

    Args:
        subjects: At least one.
        command: That made it.
    """
    sections = []
    for section in SECTIONS:
        panels = [panel for subject in subjects if (panel := _panel(section, subject)) is not None]
        if panels:
            sections.append((section, panels))
    style, script = ((_TEMPLATES / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    environment = Environment(
        loader=PackageLoader("tinyedge.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"count": _count}
    html = environment.get_template("page.html").render(
        title=" against ".join(subject.source.name for subject in subjects),
        subjects=subjects,
        sections=sections,
        comparison=compare(subjects) if len(subjects) > 1 else None,
        figures={subject: figures(subject) for subject in subjects},
        describe=describe,
        # The two files of our own are the only text that is not escaped.
        style=Markup(style),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        generator=Markup(GENERATOR),
        version=__version__,
        command=command,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )
    return Page(
        html.encode("utf-8", "replace").decode(),  # JSON may hold halves of characters, which no file can.
        {section.name: [p.subject.source.name for p in panels if p.missing is None] for section, panels in sections},
        {
            section.name: [p.missing.command for p in panels if p.missing is not None and p.missing.command]
            for section, panels in sections
        },
    )


def _panel(section: Section, subject: Subject) -> Panel | None:
    content = section.of(subject)
    if content is None:
        return None
    return Panel(subject, None, content) if isinstance(content, Missing) else Panel(subject, content, None)


def _count(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"
