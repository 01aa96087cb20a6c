"""Options of the method of `tinyedge.ssl.seed`."""

from dataclasses import dataclass

from tinyedge.ssl.options import check_options


@dataclass(frozen=True)
class SeedOptions:
    """What can be chosen about SEED.

    Attributes:
        head_width: Hidden width of the head.
        queue_size: Teacher embeddings that images are compared with.
        student_temperature: Of the student's similarities.
        teacher_temperature: Of the teacher's; lower is sharper.
        cached_views: Weak views of each image whose teacher features are computed once and kept; 0 runs the teacher in
            every step.
    """

    head_width: int = 2048
    queue_size: int = 4096
    student_temperature: float = 0.2
    teacher_temperature: float = 0.04
    cached_views: int = 0

    def __post_init__(self) -> None:
        positive = ("head_width", "queue_size", "student_temperature", "teacher_temperature")
        check_options(self, positive=positive, not_negative=("cached_views",))
