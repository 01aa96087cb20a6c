"""What a person sees while training runs: a bar on a terminal, a line now and then elsewhere."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_LINE_EVERY_S = 15.0
_FIRST_LINE_S = 4.0
# Below, the bar is short, and how many steps there are is left to the line before it.
_WIDE_COLUMNS = 100


class TrainingProgress:
    """A `tinyedge.announce.Progress` with what is counted, loss, images/s and time left; one work after the other.

    Args:
        console: Where to show it.
    """

    def __init__(self, console: Console):
        self._console = console
        self._bar: Progress | None = None
        self._first: int | None = None
        self._start_s = self._last_line_s = 0.0

    def __enter__(self) -> "TrainingProgress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_bar()

    def say(self, sentence: str) -> None:
        """Show a line that stays."""
        self._console.print(sentence, highlight=False, soft_wrap=True, markup=False)

    def show(self, what: str, done: int, of: int, detail: str = "") -> None:
        """Show that `done` of `of` steps are done; the first call of a training says how many were before."""
        if self._first is None:
            if done == of:
                return
            self._first, self._start_s = done, time.monotonic()
            self._last_line_s = self._start_s + _FIRST_LINE_S - _LINE_EVERY_S
            if self._console.is_terminal:
                self._start_bar(what, done, of)
            return
        if self._bar is not None:
            self._bar.update(self._task, completed=done, detail=detail)
        elif time.monotonic() - self._last_line_s > _LINE_EVERY_S or done == of:
            self._last_line_s = time.monotonic()
            left_s = (of - done) * (self._last_line_s - self._start_s) / (done - self._first)
            self.say("  ".join(filter(None, (f"{what} {done}/{of}", detail, f"left {left_s:.0f} s"))))
        if done == of:
            self._stop_bar()
            self._first = None

    def _start_bar(self, what: str, done: int, of: int) -> None:
        narrow = self._console.width < _WIDE_COLUMNS
        before = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._bar = Progress(
            *((BarColumn(bar_width=6), TaskProgressColumn()) if narrow else before),
            TextColumn("{task.fields[detail]}"),
            *(() if narrow else (TimeElapsedColumn(),)),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._task = self._bar.add_task(what, total=of, completed=done, detail="")
        self._bar.start()

    def _stop_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
