"""Several subjects side by side, what differs first."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tinyedge.reports.figures import HIGHER, LOWER, Figure, figures
from tinyedge.reports.layers import LayerRow, Layers, layer_table
from tinyedge.reports.subject import Subject

_MOST_LAYERS = 300


@dataclass(frozen=True)
class Cell:
    """A figure of one subject beside the others'.

    Attributes:
        text: As it is read; "" where the subject has none.
        change: Against the first subject: "−12.5 %"; "" where there is none.
        mood: "better", "worse", or "" where neither can be said.
    """

    text: str
    change: str = ""
    mood: str = ""


@dataclass(frozen=True)
class ComparedRow:
    """A figure of all subjects.

    Attributes:
        label: What it is.
        cells: One a subject.
        differs: Whether they are not all the same.
    """

    label: str
    cells: tuple[Cell, ...]
    differs: bool


@dataclass(frozen=True)
class Comparison:
    """All figures.

    Attributes:
        different: Rows that differ.
        same: Rows that do not.
        layers: Layers that differ in shape, costs or noise, or that not all have.
        layers_left_out: How many more there are.
    """

    different: tuple[ComparedRow, ...]
    same: tuple[ComparedRow, ...]
    layers: tuple[ComparedRow, ...]
    layers_left_out: int


def compare(subjects: Sequence[Subject]) -> Comparison:
    """Return the figures of several subjects, each against the first one's."""
    of_each = [{figure.label: figure for figure in figures(subject)} for subject in subjects]
    labels = dict.fromkeys(label for known in of_each for label in known)
    rows = [_row(label, [known.get(label) for known in of_each]) for label in labels]
    layers = _layers(subjects)
    return Comparison(
        different=tuple(row for row in rows if row.differs),
        same=tuple(row for row in rows if not row.differs),
        layers=tuple(layers[:_MOST_LAYERS]),
        layers_left_out=max(0, len(layers) - _MOST_LAYERS),
    )


def _row(label: str, known: list[Figure | None]) -> ComparedRow:
    first = known[0]
    cells = tuple(_cell(figure, first) for figure in known)
    return ComparedRow(label, cells, len({figure.text if figure is not None else "" for figure in known}) > 1)


def _cell(figure: Figure | None, first: Figure | None) -> Cell:
    if figure is None:
        return Cell("")
    if first is None or figure is first or figure.value is None or first.value is None or figure.value == first.value:
        return Cell(figure.text)
    difference = figure.value - first.value
    share = 100 * difference / abs(first.value) if first.value else math.inf
    if figure.text.endswith((" %", " dB")):
        change = f"{difference:+.2f} {'points' if figure.text.endswith('%') else 'dB'}"
    elif 0.05 <= abs(share) < math.inf:
        change = f"{share:+,.1f} %"
    else:
        change = f"{difference:+,.6g}"
    better = {LOWER: difference < 0, HIGHER: difference > 0}.get(figure.better)
    return Cell(figure.text, change.replace("-", "−"), "" if better is None else "better" if better else "worse")


def _layers(subjects: Sequence[Subject]) -> list[ComparedRow]:
    """The layers by name and operator; the second of a name is another one than the first."""
    of_each: list[dict[tuple[str, str, int], LayerRow]] = []
    for subject in subjects:
        table = layer_table(subject)
        named: dict[tuple[str, str, int], LayerRow] = {}
        times: Counter[tuple[str, str]] = Counter()
        for row in table.rows if isinstance(table, Layers) else ():
            named[row.name, row.op, times[row.name, row.op]] = row
            times[row.name, row.op] += 1
        of_each.append(named)
    keys = dict.fromkeys(key for named in of_each for key in named)
    rows = []
    for key in keys:
        texts = [_costs(named[key]) if key in named else "" for named in of_each]
        if len(set(texts)) > 1:
            rows.append(ComparedRow(f"{key[0]} ({key[1]})", tuple(map(Cell, texts)), True))
    return rows


def _costs(row: LayerRow) -> str:
    noise = "" if row.sqnr_db is None else f", {row.sqnr_db:.1f} dB"
    return f"{row.shape}; {row.macs:,} MACs, {row.weight_bytes:,} B{noise}"
