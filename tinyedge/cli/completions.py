"""What the shell offers for options and arguments whose values have names."""

from collections.abc import Callable, Iterable

from tinyedge.boards.board import board_names
from tinyedge.zoo import zoo_names


def completion(names: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """Return what offers the names that begin as what was typed, for an option's `autocompletion`."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names() if name.startswith(incomplete)]

    return complete


def zoo_models(incomplete: str) -> list[str]:
    """Offer models of the zoo once something was typed: a shell offers files only where nothing else fits."""
    return [name for name in zoo_names() if incomplete and name.startswith(incomplete)]


def _runtimes() -> tuple[str, ...]:
    from tinyedge.runtimes.open import RUNTIMES

    return RUNTIMES


def _all_runtimes() -> tuple[str, ...]:
    return (*_runtimes(), "all")


def _firmware_runtimes() -> tuple[str, ...]:
    from tinyedge.firmware.image import FIRMWARE_RUNTIMES

    return FIRMWARE_RUNTIMES


def _targets() -> Iterable[str]:
    from tinyedge.prediction.predict import TARGETS

    return TARGETS


BOARDS = completion(board_names)
RUNTIMES = completion(_runtimes)
ALL_RUNTIMES = completion(_all_runtimes)
FIRMWARE_RUNTIMES = completion(_firmware_runtimes)
TARGETS = completion(_targets)
