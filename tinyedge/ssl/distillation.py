"""What all methods that distil a frozen teacher share: where its features come from, and the student's head."""

import torch
from torch import nn

from tinyedge.encoders.base import Encoder
from tinyedge.errors import ConfigError
from tinyedge.ssl.base import Batch, PretrainingMethod, View
from tinyedge.ssl.teacher import Teacher, TeacherOutput
from tinyedge.ssl.teacher_cache import TeacherCache, load_teacher_cache


class Distillation(PretrainingMethod):
    """A student, and the teacher's features of the images that it sees.

    The teacher is no part of the state: it is frozen, and a run names where it came from.

    Args:
        encoder: The student.
        teacher: What it learns from.
        student_views: The student's views.
        teacher_view: The teacher's; None shows it the student's first one.
        cached_views: With 0 the teacher runs in every step. Else it runs once, before the first step, over so many weak
            views of each image, and every step takes one of these features an image at random; `teacher_view` is not
            made then, and the features' crops are not the student's.
        uses_maps: Whether the method needs the teacher's maps.
        cached_grid: Cells a side of a map in the cache, where it is of the whole image and the student's crop is read
            from it.

    Raises:
        ConfigError: It needs maps and the teacher has none.
    """

    def __init__(
        self,
        encoder: Encoder,
        teacher: Teacher,
        *,
        student_views: tuple[View, ...],
        teacher_view: View | None,
        cached_views: int,
        uses_maps: bool,
        cached_grid: int = 1,
    ):
        super().__init__()
        if uses_maps and not teacher.map_channels:
            raise ConfigError("the teacher has no maps to match; give --option multi_scale_weight=0")
        self.encoder = encoder
        self._teacher = (teacher.eval(),)  # in a tuple: a submodule would land in the state
        self.any_view_size = teacher_view is not None or cached_views > 0  # Else the teacher sees the student's pixels.
        self._cached_views = cached_views
        self._map_grid = cached_grid if uses_maps else 0
        self._cache: TeacherCache | None = None
        self._teacher_index = 0
        self.views = student_views
        if teacher_view is not None and not cached_views:
            self._teacher_index = len(student_views)
            self.views = (*student_views, teacher_view)

    def prepare(self, images: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        """Move the teacher to the images' device, or run it over all of them where its features are cached."""
        teacher = self._teacher[0]
        if self._cached_views:
            self._cache = load_teacher_cache(
                teacher,
                images,
                mean,
                std,
                views=self._cached_views,
                map_grid=self._map_grid,
                progress=self.progress,
            )
        else:
            teacher.to(images.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def targets(self, batch: Batch, generator: torch.Generator) -> TeacherOutput:
        """Return the teacher's features of a batch's images, and its maps if the method uses them."""
        if self._cached_views:
            if self._cache is None:
                raise RuntimeError("the teacher's features are cached in `prepare`, which has not run")
            return self._cache.draw(batch.indices, generator, batch.windows[0] if batch.windows else None)
        output: TeacherOutput = self._teacher[0](batch.views[self._teacher_index])
        return output


def distillation_head(student_dim: int, hidden: int, teacher_dim: int) -> nn.Sequential:
    """Return the map from a student's feature (B, student_dim) to a teacher's (B, teacher_dim).

    Linear, batch norm, ReLU, Linear; the norm has no scale and shift of its own, so that 1280-256-384 has the 426,624
    parameters that CA-DSSL states.
    """
    return nn.Sequential(
        nn.Linear(student_dim, hidden),
        nn.BatchNorm1d(hidden, affine=False),
        nn.ReLU(),
        nn.Linear(hidden, teacher_dim),
    )
