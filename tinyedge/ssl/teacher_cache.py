"""A teacher's features of every image, on disk: what makes distillation affordable where the teacher is not.

The views are fixed: first the images themselves, then crops of four fifths of the area or more, neither flipped nor
changed in colour (a mirrored digit would be another sign), drawn from a fixed seed in the order of the images.

Maps are those of the images themselves, averaged to a coarse grid. What a student's crop shows is read from them where
the crop lies, as regions of interest are pooled from a detector's maps.

What was computed is written part by part, so that work which was killed goes on where it was.
"""

import hashlib
import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_bytes

from tinyedge.announce import SILENCE, Progress
from tinyedge.atomic import atomic_path
from tinyedge.data.augment import Augment, AugmentConfig, Window, normalise
from tinyedge.data.cache import cache_directory
from tinyedge.errors import ConfigError
from tinyedge.ssl.distributed import own_rows, world_size
from tinyedge.ssl.teacher import Teacher, TeacherOutput

_WEAK = AugmentConfig(
    crop_area=(0.8, 1.0), flip_probability=0.0, jitter_probability=0.0, greyscale_probability=0.0, blur_probability=0.0
)
_SEED = 0
_BATCH = 256
_IMAGES_A_PART = 16 * _BATCH
_SHOWN = "teacher's features, part"
_ROUNDING = 1e-6  # Of the largest variance: what is below it is rounding to half precision.


@dataclass(frozen=True)
class TeacherCache:
    """Features of V views of N images, each of unit length.

    Attributes:
        features: (V, N, D) float16.
        maps: (N, C_i, G_i, G_i) float16, each of the teacher's maps of the whole image on a grid of G_i cells a side,
            each cell of unit length; none where they are not needed.
    """

    features: torch.Tensor
    maps: tuple[torch.Tensor, ...]

    def whitened(self, coordinates: int) -> "TeacherCache":
        """Return the same with the features' first principal coordinates, each of variance 1, in their place.

        A few directions have most of the variance of a network's features, and their mean has more than any: the cosine
        of two images hardly says what tells them apart. The teachers of "PCA coordinates" (arXiv 2412.09388) and of
        `tinyedge.training.patch_teacher` give each direction its say.

        Args:
            coordinates: K, as many as the features have directions at most; the axes are those of the first view.

        Raises:
            ConfigError: The features have fewer.
        """
        first = self.features[0].double()  # (N, D)
        centre = first.mean(dim=0)
        energies, axes = torch.linalg.eigh((first - centre).T @ (first - centre) / len(first))  # ascending
        found = int((energies > _ROUNDING * energies[-1]).sum())
        if coordinates > found:
            advice = f"give --option target_coordinates={found} or fewer" if found else "give another --teacher"
            raise ConfigError(
                f"target_coordinates is {coordinates}, but the teacher's features of these images have {found} "
                f"directions; {advice}"
            )
        axes = axes[:, -coordinates:].flip(1) / energies[-coordinates:].flip(0).sqrt()
        # The largest entry of each is positive: an axis has two directions, and a resumed run needs the same.
        axes = axes * axes.gather(0, axes.abs().argmax(dim=0, keepdim=True)).sign()
        views = [F.normalize((view.double() - centre) @ axes, dim=1).half() for view in self.features]
        return TeacherCache(torch.stack(views), self.maps)

    def draw(self, indices: torch.Tensor, generator: torch.Generator, window: Window | None) -> TeacherOutput:
        """Return one random view's features of each of the images `indices` (B,), this rank's rows, and their maps.

        Args:
            indices: int64 places in the N images.
            generator: On the device of `indices`, in the same state on every rank.
            window: What of each image the maps (B, C_i, G_i, G_i) are to show; None for all of it.
        """
        views, count = len(self.features), len(indices) * world_size()
        chosen = own_rows(torch.randint(views, (count,), generator=generator, device=indices.device))  # (B,)
        maps = tuple(level[indices].float() for level in self.maps)
        if window is not None:
            maps = tuple(_seen_through(level, window) for level in maps)
        return TeacherOutput(self.features[chosen, indices].float(), maps)


def _seen_through(maps: torch.Tensor, window: Window) -> torch.Tensor:
    """Return what a window shows of maps (B, C, G, G), on a grid of as many cells; linear between centres of cells."""
    rows = _between_cells(window.top, window.height, maps.shape[2])  # (B, G, G)
    columns = _between_cells(window.left, window.width, maps.shape[3])
    columns = torch.where(window.flipped[:, None, None], columns.flip(1), columns)
    with torch.autocast(maps.device.type, enabled=False):
        return rows[:, None] @ maps @ columns.mT[:, None]


def _between_cells(start: torch.Tensor, length: torch.Tensor, cells: int) -> torch.Tensor:
    """Return (B, cells, cells) weights that read [start, start + length), shares of a side, from `cells` cells."""
    cell = torch.arange(cells, device=start.device, dtype=torch.float32)
    centre = cells * start[:, None] + (cell + 0.5) * length[:, None] - 0.5  # (B, cells), in cells
    distance = (centre.clamp(0, cells - 1)[..., None] - cell).abs()  # (B, cells, cells)
    return (1 - distance).clamp(min=0)


def load_teacher_cache(
    teacher: Teacher,
    images: torch.Tensor,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    *,
    views: int,
    map_grid: int,
    progress: Progress = SILENCE,
) -> TeacherCache:
    """Return a teacher's features of `views` views of each image, from disk if they are there.

    They are kept in the user's cache folder below a hash of everything that they depend on. One rank computes them and
    the others read; a rank that cannot see that file (another machine's disk) computes them too.

    Args:
        teacher: Moved to the images' device if it has to run.
        images: (N, C, H, W) uint8, on the device that the features are to be on.
        mean: Per channel, for images in [0, 1].
        std: Per channel.
        views: V; the first is the image itself.
        map_grid: The most cells a side of the maps that are kept; 0 keeps none.
        progress: Hears how far this is, on the rank that computes.

    Raises:
        TinyEdgeError: The disk is full or the cache folder cannot be written.
    """
    augment = Augment(_WEAK, mean, std)
    digest = hashlib.sha256(
        repr(
            (teacher.digest, tuple(images.shape), mean, std, _WEAK, _SEED, views, map_grid or False, "first view whole")
        ).encode()
    )
    digest.update(images.cpu().contiguous().numpy().data)
    path = cache_directory() / "teachers" / f"{digest.hexdigest()}.safetensors"
    if world_size() == 1:
        tensors = _read_or_compute(path, teacher, augment, images, views, map_grid, progress)
    elif dist.get_rank() == 0:
        try:
            tensors = _read_or_compute(path, teacher, augment, images, views, map_grid, progress)
        finally:  # the others must not wait for a rank that failed
            dist.barrier()
    else:
        dist.barrier()
        tensors = _read_or_compute(path, teacher, augment, images, views, map_grid, progress)
    features, *maps = (tensor.to(images.device) for tensor in tensors)
    return TeacherCache(features, tuple(maps))


def _read_or_compute(
    path: Path,
    teacher: Teacher,
    augment: Augment,
    images: torch.Tensor,
    views: int,
    map_grid: int,
    progress: Progress,
) -> list[torch.Tensor]:
    """Return features (V, N, D) and maps (N, C_i, G, G), float16 on the CPU."""
    features = (len(images), teacher.feature_dim)
    channels = teacher.map_channels if map_grid else ()
    tensors = _read(path, [(views, *features), *((len(images), count, None, None) for count in channels)])
    if tensors is None:
        parts = path.with_suffix(".parts")
        of_view: list[tuple[int, ...]] = [features]
        maps = _map_shapes(teacher, augment, images, map_grid) if map_grid else []
        shapes = [[*of_view, *maps], *[of_view] * (views - 1)]
        tensors = _compute(teacher, augment, images, shapes, parts, progress)
        _write(path, tensors)
        shutil.rmtree(parts, ignore_errors=True)
    return tensors


@torch.no_grad()
def _map_shapes(
    teacher: Teacher, augment: Augment, images: torch.Tensor, map_grid: int
) -> list[tuple[int, int, int, int]]:
    """Return (N, C_i, G_y, G_x) of each map, as coarse as the teacher's own where that is coarser than the grid."""
    one = normalise(images[:1].cpu(), augment.mean, augment.std)
    sizes = [level.shape[1:] for level in teacher.to("cpu")(one).maps]
    return [(len(images), count, min(height, map_grid), min(width, map_grid)) for count, height, width in sizes]


def _write(path: Path, tensors: list[torch.Tensor]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(safetensors_bytes({str(index): tensor for index, tensor in enumerate(tensors)}))


def _read(path: Path, shapes: Sequence[tuple[int | None, ...]]) -> list[torch.Tensor] | None:
    """Return the tensors in a file, or None where it is missing, cut short or not what was written.

    Args:
        path: The file.
        shapes: Of its tensors; None stands for any size.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = [file.get_tensor(str(index)) for index in range(len(shapes))]
    except (OSError, SafetensorError):
        return None
    fits = all(
        tensor.dtype == torch.float16
        and len(tensor.shape) == len(shape)
        and all(wanted in (None, size) for size, wanted in zip(tensor.shape, shape, strict=True))
        for tensor, shape in zip(tensors, shapes, strict=True)
    )
    return tensors if fits else None


def _compute(
    teacher: Teacher,
    augment: Augment,
    images: torch.Tensor,
    shapes: Sequence[Sequence[tuple[int, ...]]],
    parts: Path,
    progress: Progress,
) -> list[torch.Tensor]:
    """Return the features of all views, stacked, and the maps of the first.

    Args:
        teacher: Moved to the images' device.
        augment: Makes the views but the first.
        images: (N, C, H, W) uint8.
        shapes: Of each view's features (N, D) and maps (N, C_i, G, G).
        parts: Folder that receives those of each part of the images, and is read where it has them.
        progress: Hears how many parts are done.
    """
    teacher.to(images.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    views = [[torch.empty(shape, dtype=torch.float16) for shape in of_view] for of_view in shapes]
    missing = [list(_missing_rows(tensors, parts, view)) for view, tensors in enumerate(views)]
    of = len(views) * math.ceil(len(images) / _IMAGES_A_PART)
    done = of - sum(map(len, missing))
    progress.show(_SHOWN, done, of)
    generator = torch.Generator().manual_seed(_SEED)  # on the CPU: the same views on every device
    for view, tensors in enumerate(views):
        drawn = augment.draw(len(images), generator) if view else None
        grids = [(shape[2], shape[3]) for shape in shapes[view][1:]]
        for rows in missing[view]:
            found = _features(teacher, augment, images[rows], None if drawn is None else drawn[rows], grids)
            _write(_part_path(parts, view, rows), found)
            for tensor, part in zip(tensors, found, strict=True):
                tensor[rows] = part
            done += 1
            progress.show(_SHOWN, done, of)
    teacher.to("cpu")
    return [torch.stack([features for features, *_ in views]), *views[0][1:]]


def _missing_rows(tensors: Sequence[torch.Tensor], parts: Path, view: int) -> Iterator[slice]:
    """Fill a view's tensors (N, ...) with the parts that are there, and yield the rows of each that is not."""
    for start in range(0, len(tensors[0]), _IMAGES_A_PART):
        rows = slice(start, min(start + _IMAGES_A_PART, len(tensors[0])))
        found = _read(_part_path(parts, view, rows), [tensor[rows].shape for tensor in tensors])
        if found is None:
            yield rows
            continue
        for tensor, part in zip(tensors, found, strict=True):
            tensor[rows] = part


def _part_path(parts: Path, view: int, rows: slice) -> Path:
    return parts / f"{view}-{rows.start}.safetensors"


@torch.no_grad()
def _features(
    teacher: Teacher,
    augment: Augment,
    images: torch.Tensor,
    drawn: torch.Tensor | None,
    grids: Sequence[tuple[int, int]],
) -> list[torch.Tensor]:
    """Return the features of one view of images (N, C, H, W), and the first maps.

    Args:
        teacher: On the images' device.
        augment: Makes the view.
        images: uint8.
        drawn: What `augment` drew for them; None for the images themselves.
        grids: (G_y, G_x) that each of so many maps is averaged to.

    Returns:
        (N, D) and (N, C_i, G_y, G_x) float16, features and cells of unit length, on the CPU.
    """
    batches: list[list[torch.Tensor]] = []
    for start in range(0, len(images), _BATCH):
        rows = slice(start, start + _BATCH)
        if drawn is None:
            seen = normalise(images[rows], augment.mean, augment.std)
        else:
            seen = augment.apply(images[rows], drawn[rows])
        output = teacher(seen.contiguous(memory_format=torch.channels_last))
        maps = (F.adaptive_avg_pool2d(level, grid) for level, grid in zip(output.maps, grids, strict=False))
        batches.append([F.normalize(level, dim=1).half().cpu() for level in (output.features, *maps)])
    return [torch.cat(level).contiguous() for level in zip(*batches, strict=True)]
