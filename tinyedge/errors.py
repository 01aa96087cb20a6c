"""Every error that tinyedge raises on purpose.

A message says what is wrong, where, the value against the limit, and the next command to run. The command line prints
it as one sentence and leaves with `exit_code`; a traceback therefore always means a defect in tinyedge.
"""


class TinyEdgeError(Exception):
    """Base of all errors that a user can cause and mend.

    Attributes:
        exit_code: Of the command line.
        title: What the command line puts before the message.
    """

    exit_code = 2
    title = "error"


class ConfigError(TinyEdgeError):
    """An option, a configuration key or a combination of them is not valid."""


class DataError(TinyEdgeError):
    """A data set is missing, empty, broken or of the wrong shape."""


class CheckpointError(TinyEdgeError):
    """A run directory or checkpoint is missing, corrupt or of another configuration."""


class TrainingError(TinyEdgeError):
    """Training had to stop: non-finite loss or a collapsed representation."""


class Interrupted(TinyEdgeError):  # noqa: N818
    """A signal asked training to stop; what was done is saved.

    Args:
        message: As for every error.
        signal: Its number: 2 for Ctrl-C, 15 for SIGTERM.
    """

    title = "stopped"

    def __init__(self, message: str, signal: int):
        super().__init__(message, signal)
        self.exit_code = 128 + signal

    def __str__(self) -> str:
        return str(self.args[0])


class ModelError(TinyEdgeError):
    """A model file is missing, truncated, not a TFLite file, or not full INT8."""


class ExportOutdated(ModelError):  # noqa: N818
    """A run was trained on since it was exported."""


class UnsupportedOpError(ModelError):
    """A model holds an operator, or a form of it, that the compiler or a runtime lacks."""


class BudgetExceeded(TinyEdgeError):  # noqa: N818 - the budget is the news, not the error.
    """Parameters, flash or RAM exceed their limit."""


class GateFailed(TinyEdgeError):  # noqa: N818
    """A command ran to its end, but a gate did not hold: parity, accuracy, or that a model can be deployed."""

    exit_code = 3


class ToolMissing(TinyEdgeError):  # noqa: N818
    """A program or Python package that the command needs is not installed."""


class TargetError(TinyEdgeError):
    """A board, emulator or serial port did not answer as it should."""


class LineLost(TargetError):  # noqa: N818
    """The serial line broke, the device fell silent or it restarted: the same may work once it is back."""
