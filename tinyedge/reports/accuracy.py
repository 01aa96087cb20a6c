"""Accuracy of a run's encoder by the share of the labels that a probe learned from."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tinyedge.data.registry import images_option
from tinyedge.evaluation.protocols import LAST_STAGE
from tinyedge.reports.chart import Chart, Mark, Series, line, linear_axis, logarithmic_axis
from tinyedge.reports.panel import Missing
from tinyedge.reports.subject import Subject, finite, number
from tinyedge.shell import command_line
from tinyedge.training.run import CONFIG_FILE


@dataclass(frozen=True)
class ProbeRow:
    """One measurement.

    Attributes:
        protocol: And what of it is not the usual: the split, the stages, and the data where there are several.
        solver: What exactly was run.
        fraction: Share of the labels.
        labels: How many.
        mean: Per cent.
        sd: In points; None for one seed.
        accuracies: Per cent, one a seed.
        images: That it was measured on.
    """

    protocol: str
    solver: str
    fraction: float
    labels: int
    mean: float
    sd: float | None
    accuracies: tuple[float, ...]
    images: int


@dataclass(frozen=True)
class Accuracy:
    """All measurements.

    Attributes:
        rows: By protocol and fraction.
        chart: The same drawn; None where there is one fraction only.
    """

    rows: tuple[ProbeRow, ...]
    chart: Chart | None


def accuracy_by_labels(subject: Subject) -> Accuracy | Missing | None:
    """Return the probes of a run's encoder; None for what is no run."""
    if subject.source.run is None:
        return None
    rows = probe_rows(subject)
    if not rows:
        probe = command_line(
            "tinyedge", "probe", subject.source.given, *images_option(subject.source.run / CONFIG_FILE)
        )
        return Missing("This run's encoder has not been probed.", probe)
    return Accuracy(rows, _chart(rows))


def probe_rows(subject: Subject) -> tuple[ProbeRow, ...]:
    """Return the measurements of a run by protocol and fraction; what is no record of one is left out."""
    records = subject.source.probes
    several = len({str(record.get("data", "")) for record in records}) > 1
    rows = filter(None, (_row(record, several) for record in records))
    return tuple(sorted(rows, key=lambda row: (row.protocol, row.fraction, row.labels)))


def _row(record: dict[str, Any], name_data: bool) -> ProbeRow | None:
    fraction, mean, labels = (number(record, name) for name in ("label_fraction", "mean", "labels"))
    images = number(record, "test_images")
    if fraction is None or mean is None or labels is None or images is None or fraction <= 0:
        return None
    seeds = record.get("accuracies")
    found = map(finite, seeds) if isinstance(seeds, list) else ()
    accuracies = [100 * seed for seed in found if seed is not None]
    stages = record.get("stages")
    named = [str(record.get("protocol", "")), str(record.get("split", "test"))]
    if isinstance(stages, list) and stages != list(LAST_STAGE):
        named.append("stages " + ", ".join(map(str, stages)))
    if name_data:
        named.append(f"on {record.get('data', '')}")
    sd = number(record, "sd")
    return ProbeRow(
        protocol=", ".join(name for name in named if name != "test"),
        solver=str(record.get("solver", "")),
        fraction=fraction,
        labels=int(labels),
        mean=100 * mean,
        sd=None if sd is None else 100 * sd,
        accuracies=tuple(accuracies),
        images=int(images),
    )


def _chart(rows: Sequence[ProbeRow]) -> Chart | None:
    fractions = sorted({row.fraction for row in rows})
    if len(fractions) < 2:
        return None
    x = logarithmic_axis(fractions, [f"{100 * fraction:g} %" for fraction in fractions])
    y = linear_axis([value for row in rows for value in (row.mean, *row.accuracies)], unit=" %")
    series = []
    for colour, (protocol, group) in enumerate(itertools.groupby(rows, key=lambda row: row.protocol)):
        of_protocol = list(group)
        marks = tuple(
            Mark(x.at(row.fraction), 100 - y.at(row.mean), f"{protocol}, {100 * row.fraction:g} %: {row.mean:.2f} %")
            for row in of_protocol
        )
        series.append(
            Series(protocol, colour % 10, line([(row.fraction, row.mean) for row in of_protocol], x, y), marks)
        )
    summary = "; ".join(f"{row.protocol} with {100 * row.fraction:g} % of the labels {row.mean:.1f} %" for row in rows)
    return Chart("Top-1 by share of the labels", summary, x, y, "share of the labels", "top-1", tuple(series))
