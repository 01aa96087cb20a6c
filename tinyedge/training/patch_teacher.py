"""A teacher that no network learned: where an image lies among others by how its patches look.

The code of a patch dictionary (`tinyedge.encoders.patches`) has tens of thousands of correlated numbers, of which a few
directions hold nearly all the variance. Its principal coordinates, each scaled to unit variance, are what a small
student can match. Fast enough for every view of every image, and it has seen no labels and no other images.
"""

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as safetensors_bytes

from tinyedge.atomic import atomic_path
from tinyedge.data.augment import normalise
from tinyedge.data.cache import cache_directory
from tinyedge.data.dataset import ImageDataset
from tinyedge.encoders.base import Encoder
from tinyedge.encoders.registry import create_encoder
from tinyedge.ssl.teacher import Teacher, TeacherOutput

COORDINATES = 256

_SAMPLED_IMAGES = 4096
_SEED = 0
_BATCH = 256
_ROUNDING = 1e-6  # Of the largest variance: what is below it is not variance but float32.
_FORMAT = 1  # Of what is learned from the images: a change of it or of how it is learned is another teacher.


class PatchTeacher(Teacher):
    """The principal coordinates of an encoder's feature, each of unit variance; it has no maps.

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
        """Return the coordinates of images (B, 3, H, W)."""
        return TeacherOutput((self.encoder(images) - self.centre) @ self.axes, ())

    @torch.no_grad()
    def learn(self, images: torch.Tensor, mean: tuple[float, float, float], std: tuple[float, float, float]) -> None:
        """Take the dictionary and the principal axes from images (N, 3, H, W) uint8."""
        self.encoder.initialise_from(images, mean, std, _SEED)
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(_SEED))
        sample = images[order[:_SAMPLED_IMAGES].to(images.device)]
        features = torch.cat([self.encoder(normalise(batch, mean, std)) for batch in sample.split(_BATCH)])  # (n, D)
        centre = features.mean(dim=0)
        axes = principal_axes(features.sub_(centre), self.feature_dim)
        self.centre.copy_(centre)
        self.axes.copy_(axes)


def principal_axes(centred: torch.Tensor, count: int) -> torch.Tensor:
    """Return (D, count): the directions of most variance, scaled so that a coordinate on each has variance 1.

    The largest entry of each is positive, so that the same features give the same signs on every machine.

    Args:
        centred: (n, D) features of mean 0.
        count: Of directions; those without variance are zero.
    """
    wide = len(centred) < centred.shape[1]
    products = (centred @ centred.T if wide else centred.T @ centred).double()
    energies, vectors = torch.linalg.eigh(products)  # ascending
    found = min(count, int((energies > _ROUNDING * energies[-1]).sum()))
    energies, vectors = energies[-found:].flip(0), vectors[:, -found:].flip(1)
    if wide:
        vectors = (centred.double().T @ vectors) / energies.sqrt()
    largest = vectors.gather(0, vectors.abs().argmax(dim=0, keepdim=True))
    axes = centred.new_zeros(centred.shape[1], count)
    axes[:, :found] = vectors * largest.sign() * (len(centred) / energies).sqrt()
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
    digest = hashlib.sha256(repr((name, _FORMAT, COORDINATES, tuple(images.shape), dataset.mean, dataset.std)).encode())
    digest.update(images.cpu().contiguous().numpy().data)
    encoder = create_encoder(name, input_size=images.shape[-1])
    teacher = PatchTeacher(encoder, min(COORDINATES, encoder.feature_dim), digest.hexdigest())
    path = cache_directory() / "teachers" / f"patches-{teacher.digest}.safetensors"
    if not _restore(teacher, path):
        teacher.learn(images, dataset.mean, dataset.std)
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
