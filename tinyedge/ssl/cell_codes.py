"""What the patches in and around a cell of an image look like: what a masked token can be asked to restore.

Pixels of a cell of 4 x 4 are mostly noise that nothing around them foretells. MaskFeat (Wei et al. 2022, "Masked
Feature Prediction for Self-Supervised Visual Pre-Training", arXiv 2112.09133) asks for histograms of oriented gradients
in their place. Here it is the responses of a dictionary of whitened patches (`tinyedge.encoders.patches`), which no
network learned either, averaged over the cell and its neighbours: unlike gradients they know colour, and unlike pixels
not where in the cell something is.
"""

import torch
import torch.nn.functional as F
from torch import nn

from tinyedge.data.augment import normalise
from tinyedge.encoders.patches import PATCH_SIZE, Patches

_STRIDES = (4, 2, 1)  # Of the patches, in pixels: the first that puts two or more a side into a cell.
_NEIGHBOURHOOD = 3  # Cells a side that are averaged.
_SAMPLED_IMAGES = 2000  # That the axes are found from.
_IMAGES_AT_ONCE = 16  # Whose responses are still in the cache when they are averaged.
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
        self.patches.initialise_from(images, mean, std, _SEED)
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(_SEED))[:_SAMPLED_IMAGES]
        sample = normalise(images[order.to(images.device)], mean, std)
        responses = self._responses(sample).flatten(0, 1).double()  # (n N, K)
        centre, deviation = responses.mean(dim=0), responses.std(dim=0, correction=0)
        inverse = torch.where(deviation > 0, 1 / deviation, 0.0)
        standardised = (responses - centre) * inverse
        variances, directions = torch.linalg.eigh(standardised.T @ standardised / len(standardised))  # ascending
        kept = self.axes.shape[1]
        variances, directions = variances.flip(0)[:kept], directions.flip(1)[:, :kept]
        whitened = directions * variances.clamp_min(_LEAST_VARIANCE).rsqrt()
        self.centre.copy_(centre)
        self.axes.copy_(inverse.unsqueeze(1) * whitened)

    @torch.no_grad()
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the coordinates of each cell of normalised images (B, C, H, W), (B, N, P).

        Over the images that they were learned from they have mean 0 and variance 1.
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
        return F.avg_pool2d(cells, _NEIGHBOURHOOD, 1, _NEIGHBOURHOOD // 2, count_include_pad=False)
