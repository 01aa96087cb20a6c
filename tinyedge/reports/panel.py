"""What stands in a section of a report where its data is not there."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Missing:
    """Why a section has nothing to show, in one sentence.

    Attributes:
        why: The sentence.
        command: What makes the data; "" where nothing does.
    """

    why: str
    command: str = ""
