"""Options of the method of `tinyedge.ssl.ca_dssl`."""

from dataclasses import dataclass

from tinyedge.errors import ConfigError
from tinyedge.ssl.curriculum import CURRICULA
from tinyedge.ssl.options import check_cached_grid, check_options, unknown_name


@dataclass(frozen=True)
class CaDsslOptions:
    """What can be chosen about CA-DSSL.

    Attributes:
        head_width: Hidden width of the head.
        relational_weight: Weight of the relational loss; 0 leaves it out.
        queue_size: Teacher embeddings that it compares with.
        student_temperature: Of the student's similarities.
        teacher_temperature: Of the teacher's; lower is sharper.
        multi_scale_weight: Weight of the maps' loss; 0 leaves it out.
        multi_scale_warmup: Share of the training over which that weight rises from 0.
        curriculum: `linear`, `3phase` or `off`, see `tinyedge.ssl.curriculum`.
        share_crop: Whether the teacher sees the student's crop rather than one of its own.
        cached_views: Weak views of each image whose teacher features are computed once and kept; 0 runs the teacher in
            every step.
        cached_grid: The most cells a side, up to 16, of a cached map, which is of the whole image: the student's crop
            is read from it. An image takes 2 bytes a cell and channel.
    """

    head_width: int = 256
    relational_weight: float = 1.0
    queue_size: int = 4096
    student_temperature: float = 0.2
    teacher_temperature: float = 0.04
    multi_scale_weight: float = 0.5
    multi_scale_warmup: float = 0.05
    curriculum: str = "linear"
    share_crop: bool = True
    cached_views: int = 0
    cached_grid: int = 4

    def __post_init__(self) -> None:
        check_options(
            self,
            positive=("head_width", "queue_size", "student_temperature", "teacher_temperature"),
            not_negative=("relational_weight", "multi_scale_weight", "multi_scale_warmup", "cached_views"),
        )
        check_cached_grid(self.cached_grid)
        if self.curriculum not in CURRICULA:
            raise ConfigError(unknown_name("curriculum", self.curriculum, CURRICULA))
