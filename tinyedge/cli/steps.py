"""What a person sees while a command runs: its steps and what each takes."""

import threading
import time
from types import TracebackType

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

_SECONDS_A_LINE = 30.0
_QUICK_S = 2.0  # A step that takes longer is named before it is done.


class StepProgress:
    """Shows steps: on a terminal with a clock, elsewhere a line each; of one that fails at once, nothing.

    Args:
        console: Where to show them.
    """

    def __init__(self, console: Console):
        self._console = console
        self._step = ""
        self._start_s = 0.0
        self._detailed_s = time.monotonic()
        self._bar: Progress | None = None
        self._named = False
        self._timer = threading.Timer(0, lambda: None)

    def __enter__(self) -> "StepProgress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if error is None or self._named:
            self._finish()
        if self._bar is not None:
            self._bar.stop()

    def begin(self, step: str) -> None:
        """Show that a step begins, and with it that the one before is done."""
        self._finish()
        self._step, self._start_s = step, time.monotonic()
        self._detailed_s = self._start_s
        if self._console.is_terminal:
            if self._bar is None:
                columns = (TextColumn("{task.description}", markup=False), TextColumn("{task.elapsed:.1f} s"))
                self._bar = Progress(SpinnerColumn(finished_text="✓"), *columns, console=self._console)
                self._bar.start()
            self._task = self._bar.add_task(step, total=1)
        else:
            self._named = False
            self._timer = threading.Timer(_QUICK_S, self._name)
            self._timer.daemon = True
            self._timer.start()

    def detail(self, text: str) -> None:
        """Show how far the step is, and nothing off a terminal but a line every half a minute."""
        if self._bar is not None:
            self._bar.update(self._task, description=f"{self._step}: {text}")
        elif time.monotonic() - self._detailed_s >= _SECONDS_A_LINE:
            self._detailed_s = time.monotonic()
            self._timer.cancel()
            line = f"{self._step}: {text}"
            self._console.print(f"\n{line}" if self._named else line, highlight=False, soft_wrap=True, markup=False)
            self._named = False

    def _name(self) -> None:
        self._named = True
        self._console.print(self._step, end="", highlight=False, soft_wrap=True, markup=False)

    def _finish(self) -> None:
        self._timer.cancel()
        if not self._step:
            return
        if self._bar is not None:
            self._bar.stop_task(self._task)
            self._bar.update(self._task, completed=1)
        else:
            if not self._named:
                self._name()
            self._console.print(f"  {time.monotonic() - self._start_s:.1f} s", highlight=False)
            self._named = False
        self._step = ""
