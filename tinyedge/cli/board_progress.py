"""What a person sees while a board is measured: how far it is and how long it will take."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

_SECONDS_A_LINE = 30.0


class BoardProgress:
    """A `tinyedge.announce.Progress` with a bar and the time left on a terminal, a line every half a minute elsewhere.

    Args:
        console: Where to show it.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._started_s: dict[str, float] = {}
        self._told_s = self._shown_s = time.monotonic()

    def __enter__(self) -> "BoardProgress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def show(self, what: str, done: int, of: int, detail: str = "") -> None:
        """Show that `done` of `of` are done."""
        now = time.monotonic()
        self._started_s.setdefault(what, self._shown_s)  # A part begins where the one before ended.
        self._shown_s = now
        if self._console.is_terminal:
            if self._bars is None:
                columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
                self._bars = Progress(*columns, console=self._console)
                self._bars.start()
            if what not in self._tasks:
                self._tasks[what] = self._bars.add_task(what, total=of)
            self._bars.update(self._tasks[what], completed=done)
        elif now - self._told_s >= _SECONDS_A_LINE:
            self._told_s = now
            left_s = (now - self._started_s[what]) / done * (of - done)
            self.say(f"{what}: {done} of {of}, about {left_s:.0f} s left")

    def say(self, sentence: str) -> None:
        """Show a line that stays."""
        self._console.print(sentence, highlight=False, soft_wrap=True, markup=False)
