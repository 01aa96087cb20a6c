"""Curves of a run's log, a small chart a metric."""

from dataclasses import dataclass

from tinyedge.plots.plots import metric_groups
from tinyedge.reports.chart import Chart, Series, line, linear_axis
from tinyedge.reports.panel import Missing
from tinyedge.reports.subject import Subject, number

_MOST_POINTS = 400


@dataclass(frozen=True)
class CurveGroup:
    """Metrics that are looked at together.

    Attributes:
        title: What they are.
        charts: One each.
    """

    title: str
    charts: tuple[Chart, ...]


@dataclass(frozen=True)
class Curves:
    """All of a run.

    Attributes:
        groups: In the order in which they are looked at.
        records: How many the log has.
        every: One record of so many is drawn.
    """

    groups: tuple[CurveGroup, ...]
    records: int
    every: int


def training_curves(subject: Subject) -> Curves | Missing | None:
    """Return the curves of a run; None for what is no run, or one whose method takes no steps."""
    source = subject.source
    if source.run is None:
        return None
    if not source.log:
        return Missing(f"The run's log, metrics.jsonl, is not in {source.run.name}: its curves cannot be drawn.")
    every = -(-len(source.log) // _MOST_POINTS)
    shown = (*source.log[:-1:every], source.log[-1])
    groups = []
    for title, names in metric_groups(source.log).values():
        charts = []
        for name in names:
            pairs = ((number(record, "step"), number(record, name)) for record in shown)
            points = [(step, value) for step, value in pairs if step is not None and value is not None]
            if not points:
                continue
            x, y = (
                linear_axis([step for step, _ in points], 4, snug=True),
                linear_axis([value for _, value in points], 4),
            )
            label = name.replace("_", " ")
            summary = f"{label} from {points[0][1]:.4g} at step {points[0][0]:,.0f} to {points[-1][1]:.4g} at the end"
            series = Series(label, 0, line(points, x, y))
            charts.append(Chart(label, summary, x, y, "step", "", (series,)))
        if charts:
            groups.append(CurveGroup(title, tuple(charts)))
    return Curves(tuple(groups), len(source.log), every) if groups else None
