"""How far a training is, from the files that it writes: whoever looks needs nothing of the process that trains."""

import itertools
import json
import math
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tinyedge.errors import CheckpointError
from tinyedge.folder_lock import only_here
from tinyedge.training.metrics import read_metrics
from tinyedge.training.run import ENCODER_FILE, METRICS_FILE, load_run
from tinyedge.training.run_lock import is_locked

PROBE_FILE = "probe.json"
# Of the log: what the speed is the median of, so that a break between two of them does not count.
_SPEED_RECORDS = 8
# A training that has written nothing for so many of its intervals, and so long, stands still, or has stopped where no
# lock says so.
_SILENT_INTERVALS, _SILENT_S = 4.0, 120.0
# Of steps and epochs of a record.
_LEAST_COUNT, _MOST_COUNT = 1e-12, 1e15


@dataclass(frozen=True)
class TrainingStatus:
    """What a run's files say of its training.

    Attributes:
        run: The run directory.
        method: How it learns.
        encoder: What learns.
        data: From what images.
        state: "waiting" for its first record, "training", "silent" (nothing was written for long), "stopped" (no
            process has it any more) or "ended".
        step: The last one in the log.
        steps: Of the whole training; None before the first record.
        epoch: As many passes over the images are done.
        epochs: Of the whole training.
        loss: Mean since the record before.
        accuracy: Of the training batches, where the method has labels.
        images_per_s: By the last records.
        left_s: Until the last step, at that speed; 0 at the end.
        age_s: Since the last record was written.
        losses: Of all records.
        probe: The mean accuracy of the last probe, in [0, 1]; None without one.
        probe_protocol: How that was found.
        probe_fraction: The share of the labels that it had.
    """

    run: Path
    method: str
    encoder: str
    data: str
    state: str
    step: int
    steps: int | None
    epoch: float
    epochs: float
    loss: float | None
    accuracy: float | None
    images_per_s: float | None
    left_s: float | None
    age_s: float | None
    losses: tuple[float, ...]
    probe: float | None
    probe_protocol: str | None
    probe_fraction: float | None

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {"schema": 1, **asdict(self), "run": str(self.run), "losses": list(self.losses)}


def read_status(run: Path, now_s: float | None = None) -> TrainingStatus:
    """Read how far a training is.

    Args:
        run: Its directory.
        now_s: The time, in seconds since 1970; None is now.

    Raises:
        CheckpointError: It is no run, or a file of it cannot be read.
    """
    opened = load_run(run)
    config, log = opened.config, opened.path / METRICS_FILE
    try:
        records = [record for record in read_metrics(log) if _is_counted(record)]
        written_s = log.stat().st_mtime if records else None
    except FileNotFoundError:  # An overwritten run begins anew at this moment.
        records, written_s = [], None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{log} cannot be read ({error}): move it away") from error
    last = records[-1] if records else {}
    step, epoch = int(last.get("step", 0)), float(last.get("epoch", 0.0))
    steps = max(round(config.epochs * step / epoch), step) if records else None
    step_s = _seconds_a_step(records)
    age_s = None if written_s is None else max((time.time() if now_s is None else now_s) - written_s, 0.0)
    # More epochs may have been asked for since the encoder was written.
    ended = (opened.path / ENCODER_FILE).is_file() and (steps is None or step >= steps)
    every_s = (step_s or 0.0) * config.log_every_steps
    silent = age_s is not None and age_s > max(_SILENT_S, _SILENT_INTERVALS * every_s)
    going = "waiting" if not records else "silent" if silent else "training"
    if not ended and is_locked(opened.path) is False and only_here(opened.path):
        going = "stopped"
    probe = last_probe(opened.path)
    return TrainingStatus(
        run=opened.path,
        method=config.method,
        encoder=config.encoder,
        data=config.data,
        state="ended" if ended else going,
        step=step,
        steps=steps,
        epoch=epoch,
        epochs=config.epochs,
        loss=_number(last, "loss"),
        accuracy=_number(last, "accuracy"),
        images_per_s=config.batch_size / step_s if config.batch_size and step_s else _number(last, "images_per_s"),
        left_s=0.0 if ended else None if step_s is None or steps is None else (steps - step) * step_s,
        age_s=age_s,
        losses=tuple(loss for loss in (_number(record, "loss") for record in records) if loss is not None),
        probe=_number(probe, "mean"),
        probe_protocol=str(probe["protocol"]) if "protocol" in probe else None,
        probe_fraction=_number(probe, "label_fraction"),
    )


def _is_counted(record: Any) -> bool:
    """Whether a record says how far the training was, in numbers that can be those of a training."""
    counts = [_number(record, name) for name in ("step", "epoch")]
    return all(count is not None and _LEAST_COUNT < count < _MOST_COUNT for count in counts)


def _seconds_a_step(records: list[dict[str, Any]]) -> float | None:
    """Seconds of a step by the last records; None where they do not tell."""
    recent = records[-_SPEED_RECORDS - 1 :]
    spans = []
    for former, later in itertools.pairwise(recent):
        begin, end = _number(former, "elapsed_s"), _number(later, "elapsed_s")
        if begin is not None and end is not None and end > begin and later["step"] > former["step"]:
            spans.append((end - begin) / (later["step"] - former["step"]))
    return statistics.median(spans) if spans else None


def last_probe(run: Path) -> dict[str, Any]:
    """Return the last record of a run's probes; empty where none can be read: it may be written at this moment."""
    try:
        rows = json.loads((run / PROBE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return rows[-1] if isinstance(rows, list) and rows and isinstance(rows[-1], dict) else {}


def _number(record: Any, name: str) -> float | None:
    value = record.get(name) if isinstance(record, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # Of an integer of hundreds of digits.
        return None
    return number if math.isfinite(number) else None
