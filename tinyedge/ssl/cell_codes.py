"""What the patches in and around a cell of an image look like: what a masked token can be asked to restore.

Pixels of a small cell are mostly noise that nothing around them foretells. MaskFeat (Wei et al. 2022, "Masked
Feature Prediction for Self-Supervised Visual Pre-Training", arXiv 2112.09133) asks for histograms of oriented gradients
in their place. Here it is the responses of a dictionary of whitened patches (`tinyedge.encoders.patches`), which no
network learned either, averaged over the cell and its neighbours: unlike gradients they know colour, and unlike pixels
not where in the cell something is.
"""

import copy

import torch
import torch.nn.functional as F
from torch import nn

from tinyedge.data.augment import normalise
from tinyedge.encoders.patches import PATCH_SIZE, Patches

_STRIDES = (4, 2, 1)  # Of the patches, in pixels: the first that divides a cell into two or more a side.
_NEIGHBOURHOOD = 3  # Cells a side that are averaged,
_LEAST_GRID = 4  # unless they are most of the image: then each cell is for itself.
_SAMPLED_IMAGES = 2000  # That the axes are found from.
_LEARNED_AT_ONCE = 100  # Images: all responses of larger ones would take gigabytes.
_IMAGES_AT_ONCE = 16  # Whose responses are still in the cache when they are averaged.
_LEAST_DEVIATION = 1e-6  # Of a response, at most 1: an atom that varies less is rounding.
_LEAST_VARIANCE = 1e-3  # Of standardised responses: directions that vary less are not amplified further.
_SEED = 0


class CellCodes(nn.Module):
    """Whitened principal coordinates of a patch dictionary's responses; it knows none before `learn`.

    Args:
        input_size: H = W of the images, in pixels, a multiple of `grid`.
        grid: Cells a side; N = grid * grid, row-major.
        channels: C of the images.
        atoms: Patches in the dictionary.
        coordinates: P, at most `atoms`.
    """

    centre: torch.Tensor
    axes: torch.Tensor

    def __init__(self, input_size: int, grid: int, channels: int, atoms: int, coordinates: int):
        super().__init__()
        self.grid = grid
        self.neighbourhood = _NEIGHBOURHOOD if grid >= _LEAST_GRID else 1
        cell = input_size // grid
        stride = next((stride for stride in _STRIDES if cell % stride == 0 and cell >= 2 * stride), 1)
        self.patches = Patches(f"patches:{atoms}", atoms, input_size, (stride,), "triangle", channels)
        self.register_buffer("centre", torch.zeros(atoms))
        self.register_buffer("axes", torch.zeros(atoms, coordinates))

    @torch.no_grad()
    def learn(self, images: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        """Take the dictionary and the axes from images.

        Args:
            images: (n, C, H, W) uint8.
            mean: Per channel, for images in [0, 1].
            std: Per channel, for images in [0, 1].
        """
        learner = copy.deepcopy(self).cpu()  # Not every device has float64.
        learner._find_axes(images.cpu(), mean, std)
        self.load_state_dict(learner.state_dict())

    def _find_axes(self, images: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        """Do what `learn` says, with the responses to some images at a time."""
        self.patches.initialise_from(images, mean, std, _SEED)
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(_SEED))[:_SAMPLED_IMAGES]
        total = torch.zeros(self.centre.shape, dtype=torch.float64)
        products = torch.zeros(len(total), len(total), dtype=torch.float64)
        for rows in order.split(_LEARNED_AT_ONCE):
            responses = self._responses(normalise(images[rows], mean, std)).flatten(0, 1).double()  # (n N, K)
            total += responses.sum(dim=0)
            products += responses.T @ responses
        count = len(order) * self.grid**2
        centre = total / count
        covariance = products / count - torch.outer(centre, centre)
        deviation = covariance.diagonal().clamp_min(0).sqrt()
        inverse = torch.where(deviation > _LEAST_DEVIATION, 1 / deviation, 0.0)
        variances, directions = torch.linalg.eigh(inverse.unsqueeze(1) * covariance * inverse)  # ascending
        kept = self.axes.shape[1]
        variances, directions = variances.flip(0)[:kept], directions.flip(1)[:, :kept]
        whitened = directions * variances.clamp_min(_LEAST_VARIANCE).rsqrt()
        self.centre.copy_(centre)
        self.axes.copy_(inverse.unsqueeze(1) * whitened)

    @torch.no_grad()
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the coordinates of each cell of normalised images (B, C, H, W), (B, N, P).

        Over the images that they were learned from they have mean 0 and variance 1, or less where the images are too
        few or too alike to vary along so many directions.
        """
        with torch.autocast(images.device.type, enabled=False):
            return (self._responses(images.to(self.axes)) - self.centre) @ self.axes

    def _responses(self, images: torch.Tensor) -> torch.Tensor:
        """Return what each atom answers around each cell, (B, N, K)."""
        before = (PATCH_SIZE - 1) // 2
        padded = F.pad(images, (before, PATCH_SIZE - 1 - before) * 2, mode="reflect")
        patches = F.normalize(self.patches.whitening(padded), dim=1).permute(0, 2, 3, 1)  # (B, H / s, W / s, 36 C)
        cells = [self._cells(part) for part in patches.split(_IMAGES_AT_ONCE)]
        return torch.cat(cells).flatten(2).transpose(1, 2)

    def _cells(self, patches: torch.Tensor) -> torch.Tensor:
        """Return the mean responses to (b, h, w, 36 C) over each cell and its neighbours, (b, K, grid, grid)."""
        responses = self.patches.dictionary(patches).relu_().permute(0, 3, 1, 2)  # channels last
        cells = F.avg_pool2d(responses, responses.shape[2] // self.grid)
        side = self.neighbourhood
        return F.avg_pool2d(cells, side, 1, side // 2, count_include_pad=False)
