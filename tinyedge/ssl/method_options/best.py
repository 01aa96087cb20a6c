"""Options of the method of `tinyedge.ssl.best`."""

from dataclasses import dataclass

from tinyedge.errors import ConfigError
from tinyedge.ssl.options import check_cached_grid, check_options


@dataclass(frozen=True)
class BestOptions:
    """What can be chosen about the recipe.

    Attributes:
        head_width: Hidden width of the head.
        distilled_views: How many of the two student views learn from the teacher: 1, or 2 for the same forward passes.
            The teacher sees the first one's crop either way.
        relational_weight: Weight of the relational loss; 0 leaves it out.
        queue_size: Teacher embeddings that it compares with.
        student_temperature: Of the student's similarities.
        teacher_temperature: Of the teacher's; lower is sharper.
        final_teacher_weight: What all that the teacher says weighs at the end, of 1 in the beginning; it goes there
            linearly. A student may outgrow a teacher that only gives it a quick start.
        similarity_weight: Weight of the loss between the student's and the teacher's cosines within a batch; 0 leaves
            it out.
        multi_scale_weight: Weight of the maps' loss; 0 leaves it out.
        vicreg_weight: Weight of VICReg between the student views; 0 leaves it out, and the second view if that learns
            nothing else.
        vicreg_invariance: Weight of the invariance term within VICReg.
        vicreg_variance: Weight of the variance term within VICReg.
        vicreg_covariance: Weight of the covariance term within VICReg.
        projector_width: Width of VICReg's embeddings.
        mixup: Share of the images that are mixed with another one, pixels and teacher's features alike, in a random
            proportion.
        target_coordinates: How many PCA-whitened coordinates of the cached features are matched in their place; 0
            matches the features.
        cached_views: Weak views of each image whose teacher features are computed once and kept; 0 runs the teacher in
            every step.
        cached_grid: The most cells a side, up to 16, of a cached map, which is of the whole image: the first student
            view's crop is read from it, and with 1 it is an average. An image takes 2 bytes a cell and channel.
    """

    head_width: int = 1024
    distilled_views: int = 1
    relational_weight: float = 1.0
    queue_size: int = 16384
    student_temperature: float = 0.2
    teacher_temperature: float = 0.04
    final_teacher_weight: float = 1.0
    similarity_weight: float = 0.0
    multi_scale_weight: float = 0.5
    vicreg_weight: float = 0.5
    vicreg_invariance: float = 1.0
    vicreg_variance: float = 1.0
    vicreg_covariance: float = 0.04
    projector_width: int = 1024
    mixup: float = 0.0
    target_coordinates: int = 0
    cached_views: int = 0
    cached_grid: int = 1

    def __post_init__(self) -> None:
        check_options(
            self,
            positive=("head_width", "queue_size", "student_temperature", "teacher_temperature", "projector_width"),
            not_negative=(
                "relational_weight",
                "final_teacher_weight",
                "similarity_weight",
                "multi_scale_weight",
                "vicreg_weight",
                "vicreg_invariance",
                "vicreg_variance",
                "vicreg_covariance",
                "target_coordinates",
                "cached_views",
            ),
        )
        check_cached_grid(self.cached_grid)
        if not 0 <= self.mixup <= 1:
            raise ConfigError(f"mixup is {self.mixup}, but has to be between 0 and 1; correct mixup")
        if self.target_coordinates and not self.cached_views:
            raise ConfigError("target_coordinates are of cached features; give --option cached_views=2 too")
        if self.distilled_views not in (1, 2):
            raise ConfigError(f"distilled_views is {self.distilled_views}, but has to be 1 or 2; correct it")
