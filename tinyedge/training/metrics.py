"""The log of a run: `metrics.jsonl` line by line, `metrics.csv` and TensorBoard from it."""

import csv
import io
import json
import sys
import types
from pathlib import Path
from typing import Any

from tinyedge.atomic import write_text
from tinyedge.errors import TrainingError


class MetricsLog:
    """Appends records to `metrics.jsonl`, and to TensorBoard where it is installed.

    Args:
        directory: The run directory.
        last_step: Records of later steps are dropped: a resumed run writes them again.
    """

    def __init__(self, directory: Path, last_step: int):
        self.directory = directory
        self.path = directory / "metrics.jsonl"
        records = [record for record in read_metrics(self.path) if record["step"] <= last_step]
        write_text(self.path, "".join(_line(record) for record in records))
        self._tensorboard = _tensorboard_writer(directory / "tensorboard", purge_step=last_step + 1)

    def append(self, record: dict[str, Any]) -> None:
        """Add one record, which has a `step`.

        Raises:
            TrainingError: The disk is full.
        """
        try:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(_line(record))
            if self._tensorboard is not None:
                for key, value in record.items():
                    if key != "step":
                        self._tensorboard.add_scalar(key, value, record["step"])
        except OSError as error:
            raise TrainingError(
                f"cannot write {self.path}: {error.strerror}; free the disk and run again with --resume"
            ) from error

    def close(self) -> None:
        """Write `metrics.csv`, of all records."""
        records = read_metrics(self.path)
        columns = list(dict.fromkeys(key for record in records for key in record))
        table = io.StringIO()
        writer = csv.DictWriter(table, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
        write_text(self.directory / "metrics.csv", table.getvalue())
        if self._tensorboard is not None:
            self._tensorboard.close()


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


def _tensorboard_writer(directory: Path, purge_step: int) -> Any | None:
    # Where TensorFlow is installed, TensorBoard loads all of it to write a file, unless this marker module exists.
    sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("tensorboard.compat.notf"))
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(directory), purge_step=purge_step)
