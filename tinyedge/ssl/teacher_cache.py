"""A teacher's features of every image, on disk: what makes distillation affordable where the teacher is not.

The views are fixed: crops of four fifths of the area or more, neither flipped nor changed in colour (a mirrored digit
would be another sign), drawn from a fixed seed in the order of the images.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_bytes

from tinyedge.atomic import atomic_path
from tinyedge.data.augment import Augment, AugmentConfig
from tinyedge.data.cache import cache_directory
from tinyedge.ssl.distributed import own_rows, world_size
from tinyedge.ssl.teacher import Teacher, TeacherOutput

_WEAK = AugmentConfig(
    crop_area=(0.8, 1.0), flip_probability=0.0, jitter_probability=0.0, greyscale_probability=0.0, blur_probability=0.0
)
_SEED = 0
_BATCH = 256


@dataclass(frozen=True)
class TeacherCache:
    """Features of V views of N images, each of unit length.

    Attributes:
        features: (V, N, D) float16.
        maps: (V, N, C_i) float16, each of the teacher's maps averaged over its grid; none where they are not needed.
    """

    features: torch.Tensor
    maps: tuple[torch.Tensor, ...]

    def draw(self, indices: torch.Tensor, generator: torch.Generator) -> TeacherOutput:
        """Return one random view's features of each of the images `indices` (B,), this rank's rows; maps of one cell.

        Args:
            indices: int64 places in the N images.
            generator: On the device of `indices`, in the same state on every rank.
        """
        views, count = len(self.features), len(indices) * world_size()
        chosen = own_rows(torch.randint(views, (count,), generator=generator, device=indices.device))  # (B,)
        maps = tuple(level[chosen, indices].float()[..., None, None] for level in self.maps)  # (B, C_i, 1, 1)
        return TeacherOutput(self.features[chosen, indices].float(), maps)


def load_teacher_cache(
    teacher: Teacher,
    images: torch.Tensor,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    *,
    views: int,
    with_maps: bool,
) -> TeacherCache:
    """Return a teacher's features of `views` weak views of each image, from disk if they are there.

    They are kept in the user's cache folder below a hash of everything that they depend on. One rank computes them and
    the others read; a rank that cannot see that file (another machine's disk) computes them too.

    Args:
        teacher: Moved to the images' device if it has to run.
        images: (N, 3, H, W) uint8, on the device that the features are to be on.
        mean: Per channel, for images in [0, 1].
        std: Per channel.
        views: V.
        with_maps: Whether the maps' averages are kept, too.

    Raises:
        TinyEdgeError: The disk is full or the cache folder cannot be written.
    """
    augment = Augment(_WEAK, mean, std)
    digest = hashlib.sha256(
        repr((teacher.digest, tuple(images.shape), mean, std, _WEAK, _SEED, views, with_maps)).encode()
    )
    digest.update(images.cpu().contiguous().numpy().data)
    path = cache_directory() / "teachers" / f"{digest.hexdigest()}.safetensors"
    widths = (teacher.feature_dim, *(teacher.map_channels if with_maps else ()))
    if world_size() == 1:
        tensors = _read_or_compute(path, teacher, augment, images, views, widths)
    elif dist.get_rank() == 0:
        try:
            tensors = _read_or_compute(path, teacher, augment, images, views, widths)
        finally:  # the others must not wait for a rank that failed
            dist.barrier()
    else:
        dist.barrier()
        tensors = _read_or_compute(path, teacher, augment, images, views, widths)
    features, *maps = (tensor.to(images.device) for tensor in tensors)
    return TeacherCache(features, tuple(maps))


def _read_or_compute(
    path: Path, teacher: Teacher, augment: Augment, images: torch.Tensor, views: int, widths: tuple[int, ...]
) -> list[torch.Tensor]:
    shapes = [(views, len(images), width) for width in widths]
    tensors = _read(path, shapes)
    if tensors is None:
        tensors = _compute(teacher, augment, images, views, shapes)
        named = {str(index): tensor for index, tensor in enumerate(tensors)}
        with atomic_path(path) as temporary:
            temporary.write_bytes(safetensors_bytes(named))
    return tensors


def _read(path: Path, shapes: list[tuple[int, int, int]]) -> list[torch.Tensor] | None:
    """Return the tensors in a file, or None where it is missing, cut short or not what was written."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = [file.get_tensor(str(index)) for index in range(len(shapes))]
    except (OSError, SafetensorError):
        return None
    fits = all(
        tensor.shape == shape and tensor.dtype == torch.float16 for tensor, shape in zip(tensors, shapes, strict=True)
    )
    return tensors if fits else None


@torch.no_grad()
def _compute(
    teacher: Teacher, augment: Augment, images: torch.Tensor, views: int, shapes: list[tuple[int, int, int]]
) -> list[torch.Tensor]:
    teacher.to(images.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    tensors = [torch.empty(shape, dtype=torch.float16) for shape in shapes]
    generator = torch.Generator().manual_seed(_SEED)  # on the CPU: the same views on every device
    for view in range(views):
        drawn = augment.draw(len(images), generator)
        for start in range(0, len(images), _BATCH):
            rows = slice(start, start + _BATCH)
            seen = augment.apply(images[rows], drawn[rows]).contiguous(memory_format=torch.channels_last)
            output = teacher(seen)
            levels = (output.features, *(level.mean(dim=(2, 3)) for level in output.maps))
            for tensor, level in zip(tensors, levels, strict=False):  # maps that are not needed are left out
                tensor[view, rows] = F.normalize(level, dim=1).half().cpu()
    teacher.to("cpu")
    return tensors
