"""What a person sees while training runs: a bar on a terminal, a line now and then elsewhere."""

import math
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_LINE_EVERY_S = 15.0
_FIRST_LINE_S = 4.0


class TrainingProgress:
    """Shows step, loss, images/s and time left.

    Args:
        total_steps: Steps of the run.
        first_step: Steps that are already done.
        batch_size: Images a step.
        visible: False on all ranks but the first.
        console: Where to show it.
    """

    def __init__(self, total_steps: int, first_step: int, batch_size: int, visible: bool, console: Console):
        self.total_steps = total_steps
        self.batch_size = batch_size
        self.console = console
        self._visible = visible
        self._first_step, self._start_s = first_step, time.monotonic()
        self._last_line_s = self._start_s + _FIRST_LINE_S - _LINE_EVERY_S
        self._loss = float("nan")
        self._bar: Progress | None = None
        if visible and console.is_terminal:
            self._bar = Progress(
                TextColumn("training"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("loss {task.fields[loss]:.3f}  {task.fields[rate]:.0f} images/s"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=console,
            )
            self._task = self._bar.add_task("", total=total_steps, completed=first_step, loss=self._loss, rate=0.0)

    def __enter__(self) -> "TrainingProgress":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def images_per_s(self, step: int) -> float:
        """Return the mean rate since this process began to train."""
        return (step - self._first_step) * self.batch_size / max(time.monotonic() - self._start_s, 1e-9)

    def update(self, step: int, loss: float | None = None) -> None:
        """Show that `step` steps are done; `loss` is the latest known one."""
        if not self._visible:
            return
        self._loss = self._loss if loss is None else loss
        rate = self.images_per_s(step)
        if self._bar is not None:
            self._bar.update(self._task, completed=step, loss=self._loss, rate=rate)
        elif time.monotonic() - self._last_line_s > _LINE_EVERY_S or step == self.total_steps:
            self._last_line_s = time.monotonic()
            left_s = (self.total_steps - step) * self.batch_size / max(rate, 1e-9)
            shown = "" if math.isnan(self._loss) else f"loss {self._loss:.3f}  "
            self.console.print(
                f"step {step}/{self.total_steps}  {shown}{rate:.0f} images/s  left {left_s:.0f} s",
                highlight=False,
            )
