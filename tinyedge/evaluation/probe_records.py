"""`probe.json`: what was measured of a run's encoder."""

import json
from pathlib import Path
from typing import Any

from tinyedge.errors import CheckpointError

PROBE_FILE = "probe.json"


def read_probe_records(path: Path) -> list[dict[str, Any]]:
    """Return the records of a run's `probe.json`, as `ProbeResult.to_json` makes them; none where there is no file.

    Raises:
        CheckpointError: The file is corrupt.
    """
    if not path.is_file():
        return []
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise CheckpointError(f"{path} is corrupt ({error}): delete it and probe again") from error
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise CheckpointError(f"{path} is no list of probe records: delete it and probe again")
    return records
