"""`tinyedge.watch`: how far a training is."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinyedge.training.status import TrainingStatus


def watch(run: Path | str) -> "TrainingStatus":
    """Read how far a training is, from the files of its run; the process that trains may be anywhere.

    Args:
        run: The run directory.

    Raises:
        CheckpointError: It is no run, or a file of it cannot be read.
    """
    from tinyedge.training.status import read_status

    return read_status(Path(run))
