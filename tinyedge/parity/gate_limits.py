"""How much the stages of an export may differ."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Gates:
    """What an export has to hold.

    Attributes:
        float_difference: The most that two float stages may differ, relative to the largest output or 1.
        top1_drop: Points of top-1 that INT8 may lose.
        cosine: The least between the float and the INT8 outputs, where there are no labels to count by.
    """

    float_difference: float = 1e-3
    top1_drop: float = 1.0
    cosine: float = 0.9


@dataclass(frozen=True)
class NetworkGates:
    """What a quantised network of anybody's has to hold.

    Attributes:
        float_difference: The most that its source and the float graph may differ, relative to the largest output or 1.
        cosine: The least between the float and the quantised model's values of an output.
    """

    float_difference: float = 1e-3
    cosine: float = 0.99
