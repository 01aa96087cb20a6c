"""Options of the method of `tinyedge.ssl.random_init`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RandomInitOptions:
    """There is nothing to choose about random weights."""
