"""How much the stages of an export may differ."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Gates:
    """What an export has to hold.

    Attributes:
        float_difference: The most that two float stages may differ, relative to the largest output or 1.
        top1_drop: Points of top-1 that INT8 may lose.
        neighbours: Of the nearest images that chance does not give, the least share that float and INT8 have in common,
            where no classes are counted.
    """

    float_difference: float = 1e-3
    top1_drop: float = 1.0
    neighbours: float = 0.1


@dataclass(frozen=True)
class NetworkGates:
    """What a quantised network of anybody's has to hold.

    Attributes:
        float_difference: The most that its source and the float graph may differ, relative to the largest output or 1.
        cosine: The least between the float and the quantised model's values of an output.
    """

    float_difference: float = 1e-3
    cosine: float = 0.99
