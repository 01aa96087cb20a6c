"""Where things lie in a chart: in per cent of its width and height, so that a page scales it as it likes."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# A range that is this share of its values has no marks that could be told apart.
_FLAT, _SMALLEST = 1e-9, 1e-300


@dataclass(frozen=True)
class Tick:
    """A mark of an axis.

    Attributes:
        at: Per cent of the axis' length, from its low end.
        text: What stands there.
    """

    at: float
    text: str


@dataclass(frozen=True)
class Axis:
    """From values to per cent.

    Attributes:
        low: The value at 0 %.
        high: The value at 100 %; above `low`.
        ticks: From low to high.
        logarithmic: Whether equal factors have equal lengths; `low` is above 0 then.
    """

    low: float
    high: float
    ticks: tuple[Tick, ...]
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Return where a value is, to a hundredth of a per cent."""
        return _at(value, self.low, self.high, self.logarithmic)


@dataclass(frozen=True)
class Mark:
    """A value that can be pointed at.

    Attributes:
        x: Per cent from the left.
        y: Per cent from the top.
        text: What it is.
    """

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Series:
    """One line, or one cloud of marks, of a chart.

    Attributes:
        name: In the legend.
        colour: Which of the page's ten colours.
        path: SVG's, through all points; "" where no line joins them.
        marks: What can be pointed at.
    """

    name: str
    colour: int
    path: str = ""
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True)
class Chart:
    """A chart in the plane.

    Attributes:
        title: Above it.
        summary: What it shows, in a sentence for those who do not see it.
        x: The axis to the right.
        y: The axis upwards.
        x_label: Below it.
        y_label: Beside it.
        series: What is drawn.
    """

    title: str
    summary: str
    x: Axis
    y: Axis
    x_label: str
    y_label: str
    series: tuple[Series, ...]


def linear_axis(values: Iterable[float], ticks: int = 5, unit: str = "", *, snug: bool = False) -> Axis:
    """Return an axis of round marks that holds all values.

    Args:
        values: Finite, at least one.
        ticks: About how many marks.
        unit: After each.
        snug: Whether it ends with the values rather than with a mark.
    """
    found = list(values)
    low, high = min(found), max(found)
    if high - low <= max(_SMALLEST, _FLAT * max(abs(low), abs(high))):
        room = abs(low) / 2 or 1.0
        low, high = low - room, high + room
    step = _round_step((high - low) / ticks)
    first, last = math.floor(low / step), math.ceil(high / step)
    if snug:
        first, last = math.ceil(low / step), math.floor(high / step)
    else:
        low, high = first * step, last * step
    digits = next((count for count in range(12) if math.isclose(round(step, count), step, rel_tol=1e-6)), 12)
    marks = tuple(
        Tick(_at(at * step, low, high, False), f"{_figure(at * step, digits)}{unit}") for at in range(first, last + 1)
    )
    return Axis(low, high, marks)


def logarithmic_axis(values: Sequence[float], texts: Sequence[str]) -> Axis:
    """Return an axis of equal factors with a mark at each of some values.

    Args:
        values: Ascending, above 0, at least one.
        texts: What stands at each.
    """
    low, high = values[0] / 1.3, values[-1] * 1.3
    marks = tuple(Tick(_at(value, low, high, True), text) for value, text in zip(values, texts, strict=True))
    return Axis(low, high, marks, logarithmic=True)


def line(points: Iterable[tuple[float, float]], x: Axis, y: Axis) -> str:
    """Return the SVG path through points, in per cent of a chart whose y runs downwards."""
    return "M" + "L".join(f"{x.at(across):g} {100 - y.at(up):g}" for across, up in points)


def _at(value: float, low: float, high: float, logarithmic: bool) -> float:
    share = math.log(value / low) / math.log(high / low) if logarithmic else (value - low) / (high - low)
    return round(100 * share, 2)


def _round_step(step: float) -> float:
    power: float = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= step * (1 - 1e-9))


def _figure(value: float, digits: int) -> str:
    if value and not 1e-4 <= abs(value) < 1e7:
        return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e")
    return f"{value + 0.0:,.{digits}f}"
