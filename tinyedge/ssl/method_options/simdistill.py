"""Options of the method of `tinyedge.ssl.simdistill`."""

from dataclasses import dataclass

from tinyedge.errors import ConfigError
from tinyedge.ssl.curriculum import CURRICULA
from tinyedge.ssl.options import check_options, unknown_name


@dataclass(frozen=True)
class SimDistillOptions:
    """What can be chosen about SimDistill.

    Attributes:
        head_width: Hidden width of the head.
        curriculum: `linear`, `3phase` or `off`, see `tinyedge.ssl.curriculum`.
        share_crop: Whether the teacher sees the student's crop rather than one of its own.
        cached_views: Weak views of each image whose teacher features are computed once and kept; 0 runs the teacher in
            every step.
    """

    head_width: int = 256
    curriculum: str = "linear"
    share_crop: bool = True
    cached_views: int = 0

    def __post_init__(self) -> None:
        check_options(self, positive=("head_width",), not_negative=("cached_views",))
        if self.curriculum not in CURRICULA:
            raise ConfigError(unknown_name("curriculum", self.curriculum, CURRICULA))
