"""Where downloaded data sets and decoded images are kept."""

import os
from pathlib import Path


def cache_directory() -> Path:
    """Return the user's cache folder: `$TINYEDGE_CACHE`, else `$XDG_CACHE_HOME/tinyedge`, else `~/.cache/tinyedge`."""
    chosen = os.environ.get("TINYEDGE_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "tinyedge"
