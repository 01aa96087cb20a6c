"""An encoder that nothing is trained in: how much an image's patches look like patches of other images.

Coates, Ng & Lee 2011, "An Analysis of Single-Layer Networks in Unsupervised Feature Learning": patches are whitened
(ZCA) and compared with a dictionary of such patches, and what is above a threshold is averaged over the quarters of the
image. As in Thiry et al. 2021, "The Unreasonable Effectiveness of Patches in Deep Convolutional Kernels Methods" (arXiv
2101.07528), the dictionary is a random choice of the images' own patches.

Deviations: similarities are cosines, so that a patch's contrast does not matter. The paper's "triangle" is then
max(0, cosine - mean over the dictionary), which is a ReLU behind a linear layer of centred atoms; `soft_threshold` is
max(0, cosine - 0.1).
"""

import torch
import torch.nn.functional as F
from torch import nn

from tinyedge.data.augment import normalise
from tinyedge.encoders.base import Encoder
from tinyedge.encoders.tokens import TokenCorruption
from tinyedge.errors import ConfigError

ATOMS = 1024  # where none are asked for
PATCH_SIZE = 6  # pixels
GRID = 2  # of the averages
SOFT_THRESHOLD = 0.1

_SAMPLED_PATCHES = 100_000
_NOISE_VARIANCE = 1e-3  # Of normalised pixels: directions that vary less are not amplified further.
# Similarities that are computed together: small enough that they are still in the cache when they are averaged.
_IMAGES_AT_ONCE = 8
_ATOMS_AT_ONCE = 256


class Patches(Encoder):
    """A dictionary of whitened patches; it knows none before `initialise_from`.

    Its maps are the whitened patches (B, 108, h, w), the averages (B, K, 2, 2) as stage 2 and as stage 3, and the
    feature (B, 4 K, 1, 1), K averages for each quarter.

    Args:
        name: Its name in the registry.
        atoms: K, patches in the dictionary.
        input_size: H = W of the images, in pixels.
        strides: One: of the patches.
        act: `soft_threshold`, or anything else for the triangle.
        channels: C of the images; a patch of theirs has 36 C values, 108 of RGB.
    """

    def __init__(self, name: str, atoms: int, input_size: int, strides: tuple[int, ...], act: str, channels: int):
        super().__init__(name, input_size, strides, act, channels=channels)
        self.feature_dim = GRID**2 * atoms
        values = channels * PATCH_SIZE**2
        self.whitening = nn.Conv2d(channels, values, PATCH_SIZE, strides[0])
        self.dictionary = nn.Linear(values, atoms)
        self.requires_grad_(False)

    @torch.no_grad()
    def initialise_from(self, images: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...], seed: int) -> None:
        """Take whitening and dictionary from random patches of images; see `Encoder.initialise_from`."""
        patches = normalise(_random_patches(images, _SAMPLED_PATCHES, seed), mean, std).flatten(1).double()  # (N, 108)
        centre = patches.mean(dim=0)
        variances, axes = torch.linalg.eigh((patches - centre).T @ (patches - centre) / len(patches))
        whiten = axes * (variances.clamp_min(0) + _NOISE_VARIANCE).rsqrt() @ axes.T  # (108, 108), symmetric
        atoms = F.normalize((patches[: self.dictionary.out_features] - centre) @ whiten, dim=1)  # (K, 108)
        self.whitening.weight.copy_(whiten.reshape(self.whitening.weight.shape))
        self.whitening.bias = nn.Parameter((-whiten @ centre).to(self.whitening.weight), requires_grad=False)
        soft = self.act == "soft_threshold"
        self.dictionary.weight.copy_(atoms if soft else atoms - atoms.mean(dim=0))
        self.dictionary.bias.fill_(-SOFT_THRESHOLD if soft else 0.0)

    def compute_maps(self, images: torch.Tensor, corrupt: TokenCorruption | None) -> list[torch.Tensor]:
        """Return the map of each stage; see `Encoder.compute_maps`.

        Raises:
            ConfigError: `corrupt` is given: nothing could learn to repair it.
        """
        if corrupt is not None:
            raise ConfigError(f"{self.name} has nothing to train; give --method random, or another --encoder")
        patches = F.normalize(self.whitening(images), dim=1)  # (B, 108, h, w)
        averages = torch.cat([self._averages(part.permute(0, 2, 3, 1)) for part in patches.split(_IMAGES_AT_ONCE)])
        grid = averages.unflatten(2, (GRID, GRID))  # (B, K, 2, 2)
        return [patches, grid, grid, averages.transpose(1, 2).flatten(1)[..., None, None]]

    def _averages(self, patches: torch.Tensor) -> torch.Tensor:
        """Return (B, K, 4): the mean of each atom's similarities over each quarter of patches (B, h, w, 108)."""
        rows, columns = (_halves(side) for side in patches.shape[1:3])
        quarters = [patches[:, row, column].flatten(1, 2) for row in rows for column in columns]  # (B, h w / 4, 108)
        weights, biases = (
            parameter.split(_ATOMS_AT_ONCE) for parameter in (self.dictionary.weight, self.dictionary.bias)
        )
        groups = [
            torch.stack([F.linear(quarter, weight, bias).relu_().mean(dim=1) for quarter in quarters], dim=2)
            for weight, bias in zip(weights, biases, strict=True)
        ]
        return torch.cat(groups, dim=1)


def _halves(side: int) -> list[slice]:
    """Return the two halves of a row; they share its middle where it is odd, as in adaptive pooling."""
    return [slice(side * half // GRID, -(-side * (half + 1) // GRID)) for half in range(GRID)]


def _random_patches(images: torch.Tensor, count: int, seed: int) -> torch.Tensor:
    """Return (count, C, 6, 6) uint8 patches at random places of random images (N, C, H, W)."""
    generator = torch.Generator().manual_seed(seed)  # on the CPU: the same patches on every device
    limits = (len(images), images.shape[2] - PATCH_SIZE + 1, images.shape[3] - PATCH_SIZE + 1)
    image, top, left = (torch.randint(limit, (count, 1, 1, 1), generator=generator) for limit in limits)
    offset = torch.arange(PATCH_SIZE)
    places = (image, torch.arange(images.shape[1])[:, None, None], top + offset[:, None], left + offset)
    return images[tuple(place.to(images.device) for place in places)]


def patches(
    name: str, input_size: int, strides: tuple[int, ...], act: str, hidden: tuple[int, ...] | None, channels: int
) -> Patches:
    """Build a dictionary as its name, `patches` or `patches:ATOMS`, says.

    Raises:
        ConfigError: `hidden` is given, but there is nothing to narrow.
    """
    if hidden is not None:
        raise ConfigError(f"{name} has no blocks to narrow; leave out hidden")
    atoms = name.partition(":")[2]
    return Patches(name, int(atoms) if atoms else ATOMS, input_size, strides, act, channels)
