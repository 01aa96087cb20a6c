"""What a model is called in C: `ic` gives `ic_model.h`, `ic_invoke()` and `IC_INPUT_BYTES`."""

import re

from tinyedge.errors import ConfigError

_NAME = re.compile(r"[a-z][a-z0-9_]*")
# The kernels and the firmware have it to themselves.
_RESERVED = re.compile(r"te(_.*)?")


def default_name(stem: str) -> str:
    """Return a file's name without its ending as a name in C: lower case, and "_" for what C does not take."""
    name = re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_")
    return name if _is_free(name) else f"model_{name}".rstrip("_")


def check_name(name: str) -> None:
    """Make sure that `name` may begin the names of C functions and files.

    Raises:
        ConfigError: It may not.
    """
    if not _is_free(name):
        raise ConfigError(
            f"a model cannot be called {name!r} in C: give --name a lower-case letter, then lower-case letters, digits "
            "and _, other than te and what begins with te_"
        )


def _is_free(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and _RESERVED.fullmatch(name) is None
