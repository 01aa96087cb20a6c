"""What `tinyedge watch` shows, in 80 columns."""

import itertools
from collections.abc import Sequence

from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tinyedge.training.status import TrainingStatus

_BLOCKS = "▁▂▃▄▅▆▇█"
_BAR_COLUMNS = 48
_CURVE_COLUMNS = 40
_LABEL_COLUMNS = 9


def status_view(status: TrainingStatus) -> Table:
    """Return a training's state as lines of a label and what it is."""
    lines = Table.grid(padding=(0, 1))
    lines.add_column(min_width=_LABEL_COLUMNS, no_wrap=True)
    lines.add_column(overflow="ellipsis", no_wrap=True)
    lines.add_row("run", Text.assemble((str(status.run), "bold"), f"  {status.method}, {status.encoder}"))
    lines.add_row("state", _state(status))
    if status.steps is not None:
        lines.add_row("", ProgressBar(total=status.steps, completed=status.step, width=_BAR_COLUMNS))
        share = 100 * status.step / status.steps
        lines.add_row("step", f"{status.step:,} of {status.steps:,}, {share:.0f} %; epoch {_epochs(status)}")
    if status.loss is not None:
        lines.add_row("loss", f"{status.loss:.3f}  {curve(status.losses)}")
    if status.accuracy is not None:
        lines.add_row("accuracy", f"{100 * status.accuracy:.1f} % of the training images")
    if status.images_per_s is not None:
        lines.add_row("images/s", f"{status.images_per_s:,.0f}")
    if status.left_s is not None and status.state not in ("ended", "stopped"):
        lines.add_row("left", duration(status.left_s))
    lines.add_row("probe", _probe(status))
    return lines


def duration(seconds: float) -> str:
    """Return a time in its two largest units: "1 h 12 min", "3 d 4 h", "45 s"."""
    left = max(round(seconds), 0)
    parts: list[str] = []
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        if count or parts or unit == "s":
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def curve(values: Sequence[float]) -> str:
    """Return values as a line of blocks, each the mean of as many; the lowest and the highest span all heights."""
    if not values:
        return ""
    columns = min(len(values), _CURVE_COLUMNS)
    edges = [round(at * len(values) / columns) for at in range(columns + 1)]
    means = [sum(values[begin:end]) / (end - begin) for begin, end in itertools.pairwise(edges)]
    low, high = min(means), max(means)
    top = len(_BLOCKS) - 1
    return "".join(_BLOCKS[round(top * (value - low) / (high - low)) if high > low else 0] for value in means)


def _state(status: TrainingStatus) -> Text:
    ago = "" if status.age_s is None else f", the last record {duration(status.age_s)} ago"
    return {
        "waiting": Text("no record yet"),
        "training": Text.assemble(("training", "green"), ago),
        "silent": Text.assemble(("silent", "yellow"), f"{ago}: it stands still"),
        "stopped": Text.assemble(("stopped", "yellow"), ago),
        "ended": Text.assemble(("ended", "green")),
    }[status.state]


def _epochs(status: TrainingStatus) -> str:
    return f"{status.epoch:.1f} of {status.epochs:g}"


def _probe(status: TrainingStatus) -> str:
    if status.probe is None:
        return "none yet"
    fraction = "" if status.probe_fraction is None else f", {100 * status.probe_fraction:g} % of the labels"
    return f"{100 * status.probe:.1f} % ({status.probe_protocol}{fraction})"
