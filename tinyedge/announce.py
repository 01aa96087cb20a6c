"""What long work tells whoever wants to show it: its steps, and how far they are."""

from typing import Protocol


class Progress(Protocol):
    """Hears how far long work is."""

    def say(self, sentence: str) -> None:
        """Something happened that a person wants to know."""

    def show(self, what: str, done: int, of: int, detail: str = "") -> None:
        """`done` of `of` parts of some work are done; `detail` says more of it."""


class _Silence:
    def say(self, sentence: str) -> None:
        pass

    def show(self, what: str, done: int, of: int, detail: str = "") -> None:
        pass


SILENCE: Progress = _Silence()
"""A `Progress` that shows nothing."""


def silent(step: str) -> None:
    """Announce a step to nobody."""
