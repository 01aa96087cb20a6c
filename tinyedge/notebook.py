"""How a report looks in a notebook: pieces of HTML for the `_repr_html_` methods, which Jupyter asks for.

They take the notebook's own fonts and colours, need no script and no network, and escape all that comes from a model.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Protocol

from tinyedge.plural import counted

_LEFT, _RIGHT = 'style="text-align:left"', 'style="text-align:right"'


class Lifetime(Protocol):
    """A tensor of a memory plan, see `tinyedge.compiler.memory.memory_plan.PlannedTensor`."""

    @property
    def name(self) -> str: ...  # noqa: D102 - what they are is said there.

    @property
    def offset(self) -> int: ...  # noqa: D102

    @property
    def bytes(self) -> int: ...  # noqa: D102

    @property
    def first(self) -> int: ...  # noqa: D102

    @property
    def last(self) -> int: ...  # noqa: D102


def paragraph(text: str, bold: bool = False) -> str:
    """Return a line of text."""
    return f"<p>{f'<b>{escape(text)}</b>' if bold else escape(text)}</p>"


def table(head: Sequence[str], rows: Iterable[Sequence[object]], caption: str = "") -> str:
    """Return a table; whole numbers have thousands' separators, and stand to the right.

    Args:
        head: The title of each column.
        rows: None is an empty cell.
        caption: Above it.
    """
    titles = "".join(f"<th {_LEFT}>{escape(title)}</th>" for title in head)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    above = f"<caption {_LEFT}>{escape(caption)}</caption>" if caption else ""
    return f"<table>{above}<thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"


def folded(title: str, content: str) -> str:
    """Return what is shown when its title is clicked."""
    return f"<details><summary>{escape(title)}</summary>{content}</details>"


def plan_drawing(tensors: Sequence[Lifetime], arena_bytes: int, layers: int) -> str:
    """Return a memory plan as SVG: layers to the right, bytes upwards; a tensor under the pointer says its name.

    Args:
        tensors: Of the plan.
        arena_bytes: The height.
        layers: The width, and a column on each side for input and output.
    """
    width, height = 720, 240
    column, scale = width / (layers + 2), height / max(arena_bytes, 1)
    parts = []
    for tensor in tensors:
        first, last = max(tensor.first, -1), min(tensor.last, layers)
        x, y = (first + 1) * column, height - (tensor.offset + tensor.bytes) * scale
        said = f"{tensor.name}: {tensor.bytes:,} bytes at {tensor.offset:,}, layers {first} to {last}"
        parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{(last - first + 1) * column:.1f}" '
            f'height="{tensor.bytes * scale:.1f}" fill="#4a7ebb" fill-opacity="0.6" stroke="currentColor" '
            f'stroke-width="0.5"><title>{escape(said)}</title></rect>'
        )
    summary = f"{arena_bytes:,} bytes of arena upwards, {counted(layers, 'layer')} to the right"
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{summary}" style="max-width:{width}px;'
        f'border:1px solid currentColor" xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
        f"{paragraph(summary)}"
    )


def _cell(value: object) -> str:
    if value is None:
        return "<td></td>"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"<td {_RIGHT}>{value:,}</td>"
    return f"<td {_RIGHT if isinstance(value, float) else _LEFT}>{escape(str(value))}</td>"
