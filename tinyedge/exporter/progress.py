"""What a person sees while an export runs: its steps and what each takes."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

_SECONDS_A_LINE = 30.0


class ExportProgress:
    """Shows steps: each with its clock on a terminal, a line when it is done elsewhere.

    Args:
        console: Where to show them.
    """

    def __init__(self, console: Console):
        self._console = console
        self._step = ""
        self._start_s = 0.0
        self._detailed_s = time.monotonic()
        self._bar: Progress | None = None
        if console.is_terminal:
            columns = (TextColumn("{task.description}"), TextColumn("{task.elapsed:.1f} s"))
            self._bar = Progress(SpinnerColumn(finished_text="✓"), *columns, console=console)

    def __enter__(self) -> "ExportProgress":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._finish()
        if self._bar is not None:
            self._bar.stop()

    def begin(self, step: str) -> None:
        """Show that a step begins, and with it that the one before is done."""
        self._finish()
        self._step, self._start_s = step, time.monotonic()
        if self._bar is not None:
            self._task = self._bar.add_task(step, total=1)

    def detail(self, text: str) -> None:
        """Show how far the step is, and nothing off a terminal but a line every half a minute."""
        if self._bar is not None:
            self._bar.update(self._task, description=f"{self._step}: {text}")
        elif time.monotonic() - self._detailed_s >= _SECONDS_A_LINE:
            self._detailed_s = time.monotonic()
            self._console.print(f"{self._step}: {text}", highlight=False)

    def _finish(self) -> None:
        if not self._step:
            return
        if self._bar is not None:
            self._bar.stop_task(self._task)
            self._bar.update(self._task, completed=1)
        else:
            seconds = time.monotonic() - self._start_s
            self._console.print(f"{self._step}  {seconds:.1f} s", highlight=False)
