"""Where else a run's metrics go: loggers with the interface of Lightning Fabric's, by name or as objects.

The interface is `lightning.fabric.loggers.Logger`: TensorBoard, CSV, Weights & Biases, MLflow, Comet and Neptune have
classes of it, and a class of one's own needs nothing of Lightning.
"""

import importlib
import os
import sys
import types
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from tinyedge.errors import ConfigError, ToolMissing
from tinyedge.ssl.options import unknown_name

TENSORBOARD_FOLDER = "tensorboard"  # of a run

# Name -> the packages that it takes, of which Lightning is one by either name.
_LIGHTNING = ("lightning", "pytorch_lightning")
LOGGERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "tensorboard": (("tensorboard",),),
    "wandb": (("wandb",), _LIGHTNING),
    "mlflow": (("mlflow",), _LIGHTNING),
}


class Logger(Protocol):
    """What is asked of `lightning.fabric.loggers.Logger`."""

    def log_hyperparams(self, params: dict[str, Any]) -> None:
        """Record the run's configuration."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Record numbers of a step."""

    def finalize(self, status: str) -> None:
        """Write what is left; "success", "failed" or "aborted"."""


def check_loggers(wanted: Sequence[Logger | str] | None) -> None:
    """Refuse what is no logger, and names whose packages are not installed.

    Raises:
        ConfigError: An unknown name, or an object without the methods of a logger.
        ToolMissing: A package is missing.
    """
    for one in wanted or ():
        if not isinstance(one, str):
            missing = [name for name in ("log_hyperparams", "log_metrics", "finalize") if not hasattr(one, name)]
            if missing:
                raise ConfigError(
                    f"{type(one).__name__} is no logger: it has no {missing[0]}; give one with the interface of "
                    "lightning.fabric.loggers.Logger"
                )
            continue
        if one not in LOGGERS:
            raise ConfigError(unknown_name("logger", one, tuple(LOGGERS)))
        absent = [names[0] for names in LOGGERS[one] if not any(map(find_spec, names))]
        if absent:
            raise ToolMissing(
                f"--logger {one} needs {' and '.join(absent)}, not installed here: run `pip install {' '.join(absent)}`"
            )


class Loggers:
    """The loggers of a training. One that fails is finalised and left out from there on: it ends no training.

    Args:
        wanted: Names of `LOGGERS` and objects; None is TensorBoard where it is installed.
        say: Hears what failed.
    """

    def __init__(self, wanted: Sequence[Logger | str] | None, say: Callable[[str], None]):
        default = ("tensorboard",) if find_spec("tensorboard") is not None else ()
        self._wanted = list(default if wanted is None else wanted)
        self._say = say
        self._open: list[Logger] = []

    def begin(self, run: Path, params: dict[str, Any], last_step: int) -> None:
        """Begin with the steps after `last_step`, of a run with this configuration."""
        self._open = []
        for one in self._wanted:
            self._guarded(one, lambda one=one: self._begin_one(one, run, params, last_step))  # type: ignore[misc]

    def _begin_one(self, one: Logger | str, run: Path, params: dict[str, Any], last_step: int) -> None:
        logger = _open(one, run, last_step) if isinstance(one, str) else one
        try:
            with suppress(NotImplementedError):  # As Fabric's CSVLogger has it.
                logger.log_hyperparams(params)
        except Exception:
            _give_up(logger)
            raise
        self._open.append(logger)

    def log(self, metrics: dict[str, float], step: int) -> None:
        """Record numbers of a step."""
        for logger in tuple(self._open):
            if not self._guarded(logger, lambda logger=logger: logger.log_metrics(metrics, step=step)):  # type: ignore[misc]
                _give_up(logger)

    def end(self, status: str) -> None:
        """Let every logger write what is left."""
        for logger in tuple(self._open):
            self._guarded(logger, lambda logger=logger: logger.finalize(status))  # type: ignore[misc]
        self._open = []

    def _guarded(self, what: Logger | str, call: Callable[[], None]) -> bool:
        """Call, and leave a logger out that fails; returns whether it did not."""
        try:
            call()
            return True
        except Exception as error:  # Of somebody else's code, and often of a network.
            self._open = [one for one in self._open if one is not what]
            name = what if isinstance(what, str) else type(what).__name__
            reason = " ".join(str(error).split()) or type(error).__name__
            self._say(f"the logger {name} failed ({reason}); the training goes on without it")
            return False


def _give_up(logger: Logger) -> None:
    """Let a logger that failed write what it still can, and close what it holds."""
    with suppress(Exception):
        logger.finalize("failed")


def _open(name: str, run: Path, last_step: int) -> Logger:
    if name == "tensorboard":
        return _TensorBoard(run / TENSORBOARD_FOLDER, last_step)
    lightning = next(one for one in _LIGHTNING if find_spec(one) is not None)
    loggers = importlib.import_module(
        f"{lightning}.pytorch.loggers" if lightning == "lightning" else f"{lightning}.loggers"
    )
    # What they write lies where they put it, in the current folder: a run holds what tinyedge wrote.
    logger: Logger
    if name == "wandb":
        logger = loggers.WandbLogger(name=run.resolve().name, project="tinyedge")
    else:
        server = os.environ.get("MLFLOW_TRACKING_URI")  # Which its own default reads when it is imported alone.
        logger = loggers.MLFlowLogger(experiment_name="tinyedge", run_name=run.resolve().name, tracking_uri=server)
    return logger


class _TensorBoard:
    """TensorBoard's files in the run itself; of a resumed run, steps that it writes again are purged."""

    def __init__(self, folder: Path, last_step: int):
        # Where TensorFlow is installed, TensorBoard loads all of it to write a file, unless this marker module exists.
        sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("tensorboard.compat.notf"))
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=last_step + 1)

    def log_hyperparams(self, params: dict[str, Any]) -> None:
        rows = "\n".join(f"| {key} | {value} |" for key, value in params.items())
        self._writer.add_text("config", f"| key | value |\n|---|---|\n{rows}")

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        for key, value in metrics.items():
            self._writer.add_scalar(key, value, step)

    def finalize(self, status: str) -> None:
        self._writer.close()
