"""A teacher that no network learned: what the patches of an image say of it whichever view of it one takes.

The code of a patch dictionary (`tinyedge.encoders.patches`) has thousands of correlated numbers. The teacher's features
are the directions in it along which images differ most and views of one image least (linear discriminant analysis with
each image as a class of its own), in units of the views' deviation. It has seen no labels and no other images.
"""

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as safetensors_bytes

from tinyedge.atomic import atomic_path
from tinyedge.data.augment import Augment, normalise
from tinyedge.data.cache import cache_directory
from tinyedge.data.dataset import ImageDataset
from tinyedge.encoders.base import Encoder
from tinyedge.encoders.registry import create_encoder
from tinyedge.ssl.teacher import Teacher, TeacherOutput
from tinyedge.training.views import view_augment

COORDINATES = 256

_DIRECTIONS = 1024  # Of most variance, in which the others are sought.
_SAMPLED_IMAGES = 4096  # That these are found from.
_VIEWED_IMAGES = 8192  # Of two views each.
_SHRINKAGE = 0.1  # Of the views' mean variance, added to each of their variances: few views underestimate the least.
_ROUNDING = 1e-6  # Of the largest variance: what is below it is not variance but float32.
_SEED = 0
_BATCH = 256
_FORMAT = 2  # Of what is learned from the images: a change of it or of how it is learned is another teacher.


class PatchTeacher(Teacher):
    """The coordinates of an encoder's feature that two views of an image share; it has no maps.

    Args:
        encoder: A patch dictionary.
        coordinates: How many.
        digest: SHA-256 of all that its weights are learned from.
    """

    centre: torch.Tensor
    axes: torch.Tensor

    def __init__(self, encoder: Encoder, coordinates: int, digest: str):
        super().__init__()
        self.encoder = encoder.requires_grad_(False).eval()
        self.feature_dim, self.map_channels, self.digest = coordinates, (), digest
        self.register_buffer("centre", torch.zeros(encoder.feature_dim))
        self.register_buffer("axes", torch.zeros(encoder.feature_dim, coordinates))

    @torch.no_grad()
    def forward(self, images: torch.Tensor) -> TeacherOutput:
        """Return the coordinates of images (B, C, H, W)."""
        return TeacherOutput((self.encoder(images) - self.centre) @ self.axes, ())

    @torch.no_grad()
    def learn(self, dataset: ImageDataset) -> None:
        """Take the dictionary and the axes from a data set's train images."""
        images, mean, std = dataset.train.images, dataset.mean, dataset.std
        self.encoder.initialise_from(images, mean, std, _SEED)
        generator = torch.Generator().manual_seed(_SEED)
        order = torch.randperm(len(images), generator=generator).to(images.device)
        whole = [self.encoder(normalise(images[rows], mean, std)) for rows in order[:_SAMPLED_IMAGES].split(_BATCH)]
        features = torch.cat(whole)  # (n, D)
        centre = features.mean(dim=0)
        directions = principal_directions(features.sub_(centre), _DIRECTIONS)  # (D, R)
        augment = Augment(view_augment("strong", dataset.name, images.shape[-1]), mean, std)
        views = [
            torch.cat(
                [
                    (self.encoder(augment(images[rows], generator)) - centre) @ directions
                    for rows in order[:_VIEWED_IMAGES].split(_BATCH)
                ]
            )
            for _ in range(2)
        ]
        axes = directions @ shared_axes(views[0], views[1], self.feature_dim)
        self.centre.copy_(centre)
        self.axes.copy_(axes)


def principal_directions(centred: torch.Tensor, count: int) -> torch.Tensor:
    """Return the `count` orthonormal directions (D, count) of most variance, or as many as have any.

    Args:
        centred: (n, D) features of mean 0.
        count: At most.
    """
    wide = len(centred) < centred.shape[1]
    products = (centred @ centred.T if wide else centred.T @ centred).double()
    energies, vectors = torch.linalg.eigh(products)  # ascending
    found = min(count, int((energies > _ROUNDING * energies[-1]).sum()))
    energies, vectors = energies[-found:].flip(0), vectors[:, -found:].flip(1)
    if wide:
        vectors = (centred.double().T @ vectors) / energies.sqrt()
    directions: torch.Tensor = vectors.to(centred)
    return directions


def shared_axes(first: torch.Tensor, second: torch.Tensor, count: int) -> torch.Tensor:
    """Return (R, count): the axes along which images vary most in units of their views' deviation, the best first.

    The largest entry of each is positive, so that the same features give the same signs on every machine.

    Args:
        first: (n, R) features of one view of each image.
        second: (n, R) of another.
        count: Of axes; those beyond R are zero.
    """
    first, second = (x.double() - x.double().mean(dim=0) for x in (first, second))
    within = (first - second).T @ (first - second) / (2 * len(first))
    total = (first.T @ first + second.T @ second) / (2 * len(first))
    within += _SHRINKAGE * within.diagonal().mean() * torch.eye(len(within), dtype=within.dtype, device=within.device)
    root = torch.linalg.cholesky(within)
    half = torch.linalg.solve_triangular(root, total, upper=False)
    ratios = torch.linalg.solve_triangular(root, half.T, upper=False)
    vectors = torch.linalg.solve_triangular(root.T, torch.linalg.eigh(ratios).eigenvectors, upper=True)
    vectors = vectors.flip(1)[:, :count]
    largest = vectors.gather(0, vectors.abs().argmax(dim=0, keepdim=True))
    axes = torch.zeros(len(within), count, device=vectors.device)
    axes[:, : vectors.shape[1]] = vectors * largest.sign()
    return axes


def load_patch_teacher(name: str, dataset: ImageDataset) -> PatchTeacher:
    """Return the teacher of a data set's train images, from the user's cache folder where it was learned before.

    Args:
        name: `patches:ATOMS`.
        dataset: The student's.

    Raises:
        ConfigError: The name is none.
        TinyEdgeError: The disk is full or the cache folder cannot be written.
    """
    images = dataset.train.images
    digest = hashlib.sha256(
        repr((name, dataset.name, _FORMAT, COORDINATES, tuple(images.shape), dataset.mean, dataset.std)).encode()
    )
    digest.update(images.cpu().contiguous().numpy().data)
    encoder = create_encoder(name, input_size=images.shape[-1], channels=images.shape[1])
    teacher = PatchTeacher(encoder, min(COORDINATES, encoder.feature_dim), digest.hexdigest())
    path = cache_directory() / "teachers" / f"patches-{teacher.digest}.safetensors"
    if not _restore(teacher, path):
        teacher.learn(dataset)
        with atomic_path(path) as temporary:
            temporary.write_bytes(safetensors_bytes(teacher.state_dict()))
    return teacher


def _restore(teacher: PatchTeacher, path: Path) -> bool:
    """Load what was learned before; return whether it was there, whole."""
    try:
        teacher.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError):
        return False
    return True
