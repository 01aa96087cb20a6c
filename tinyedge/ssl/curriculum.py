"""How strong the augmentation is in the course of training."""

CURRICULA = ("linear", "3phase", "off")

_RISES_FROM, _RISES_TO = 0.1, 0.7
_PHASES = (0.2, 0.6, 1.0)


def curriculum_strength(curriculum: str, progress: float) -> float:
    """Return the strength s(p) in [0, 1] of the augmentation, never falling.

    Args:
        curriculum: `linear` is 0 up to a tenth of the training and 1 from seven tenths on; `3phase` is 0.2, 0.6 and 1
            in the thirds of it; `off` is always 1.
        progress: Share p of the training that is done, in [0, 1].

    Raises:
        ValueError: An unknown curriculum.
    """
    if curriculum == "linear":
        return min(max((progress - _RISES_FROM) / (_RISES_TO - _RISES_FROM), 0.0), 1.0)
    if curriculum == "3phase":
        return _PHASES[min(int(progress * len(_PHASES)), len(_PHASES) - 1)]
    if curriculum == "off":
        return 1.0
    raise ValueError(f"curriculum is {curriculum}; known are {', '.join(CURRICULA)}")
