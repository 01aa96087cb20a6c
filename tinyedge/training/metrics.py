"""The log of a run: `metrics.jsonl` line by line, `metrics.csv` from it, and loggers beside."""

import csv
import io
import json
from pathlib import Path
from typing import Any

from tinyedge.atomic import write_text
from tinyedge.errors import TrainingError
from tinyedge.training.loggers import Loggers


class MetricsLog:
    """Appends records to `metrics.jsonl`, and to loggers.

    Args:
        directory: The run directory.
        last_step: Records of later steps are dropped: a resumed run writes them again.
        loggers: Hear of each record as well; None for none.
    """

    def __init__(self, directory: Path, last_step: int, loggers: Loggers | None = None):
        self.directory = directory
        self.path = directory / "metrics.jsonl"
        records = [record for record in read_metrics(self.path) if record["step"] <= last_step]
        write_text(self.path, "".join(_line(record) for record in records))
        self._loggers = loggers

    def append(self, record: dict[str, Any]) -> None:
        """Add one record, which has a `step`.

        Raises:
            TrainingError: The disk is full.
        """
        try:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(_line(record))
        except OSError as error:
            raise TrainingError(
                f"cannot write {self.path}: {error.strerror}; free the disk and run again with --resume"
            ) from error
        if self._loggers is not None:
            self._loggers.log({key: value for key, value in record.items() if key != "step"}, record["step"])

    def end(self, status: str) -> None:
        """Tell the loggers how the training ended: "success", "failed" or "aborted"."""
        if self._loggers is not None:
            self._loggers.end(status)

    def close(self) -> None:
        """Write `metrics.csv`, of all records."""
        records = read_metrics(self.path)
        columns = list(dict.fromkeys(key for record in records for key in record))
        table = io.StringIO()
        writer = csv.DictWriter(table, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
        write_text(self.directory / "metrics.csv", table.getvalue())
        self.end("success")


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the records of a `metrics.jsonl`; a last line that a crash cut short is left out."""
    if not path.is_file():
        return []
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record, allow_nan=False) + "\n"
