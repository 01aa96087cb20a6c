"""Which samples of a set are calibrated on, and which unseen ones the ranges are chosen on."""

from dataclasses import dataclass

import numpy as np

FEWEST_CALIBRATION_IMAGES = 16
"""With fewer, ranges are a matter of luck."""

MOST_UNSEEN_IMAGES = 128
"""More change no choice among the candidates."""


@dataclass(frozen=True, eq=False)
class CalibrationDraw:
    """Positions in a set of samples, int64, ascending.

    Attributes:
        seen: Calibrated on.
        unseen: To choose the ranges on; those seen, where too few others are left.
        others: All but the ones drawn as unseen.
    """

    seen: np.ndarray
    unseen: np.ndarray
    others: np.ndarray

    @property
    def has_unseen(self) -> bool:
        """Whether there were enough others to leave any unseen."""
        return not np.array_equal(self.seen, self.unseen)


def draw_calibration(count: int, wanted: int, seed: int) -> CalibrationDraw:
    """Draw from `count` samples: `wanted` to calibrate on, or all there are, and at most `MOST_UNSEEN_IMAGES` more."""
    wanted = min(wanted, count)
    order = np.random.default_rng(seed).permutation(count)
    seen, unseen = order[:wanted], order[wanted : wanted + MOST_UNSEEN_IMAGES]
    others = np.concatenate([seen, order[wanted + MOST_UNSEEN_IMAGES :]])
    if len(unseen) < FEWEST_CALIBRATION_IMAGES:
        unseen = seen
    return CalibrationDraw(np.sort(seen), np.sort(unseen), np.sort(others))


def draw_apart(count: int, wanted: int, seed: int) -> CalibrationDraw:
    """Draw as `draw_calibration`, but leave a fifth of a small set unseen: choices need other samples."""
    unseen = min(count // 5, MOST_UNSEEN_IMAGES)
    apart = count - unseen if unseen >= FEWEST_CALIBRATION_IMAGES else count
    return draw_calibration(count, min(wanted, apart), seed)
