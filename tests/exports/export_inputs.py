"""Encoders that look trained, images with classes, and how the tests export them."""

import pickle
from dataclasses import dataclass
from pathlib import Path

import torch
from once import OncePerSession
from torch import nn

from tinyedge.data.dataset import ImageDataset, ImageSplit
from tinyedge.encoders.base import Encoder
from tinyedge.encoders.registry import create_encoder
from tinyedge.exporter.export import Probe, export_model
from tinyedge.exporter.options import ExportOptions
from tinyedge.manifest.manifest import ExportManifest

torch.set_num_threads(1)
CALIBRATION_IMAGES = 64


def make_trained_like(encoder: Encoder, batches: int = 8) -> Encoder:
    """Give every parameter and batch-norm statistic a value that no default has.

    What no batch norm follows stays small: attention that saturates would turn a rounding error into another answer.

    Args:
        encoder: Changed in place.
        batches: Of 32 images, whose statistics the norms take: fewer where nothing asks how typical they are.
    """
    generator = torch.Generator().manual_seed(0)
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            if module.affine:
                module.weight.data.uniform_(0.5, 1.5, generator=generator)
                module.bias.data.normal_(0, 0.3, generator=generator)
            module.momentum = None  # The average over all batches, so that evaluation sees what training saw.
        elif isinstance(module, nn.Conv2d | nn.Linear):
            fan_in = module.weight[0].numel()
            module.weight.data.normal_(0, 0.3 * fan_in**-0.5, generator=generator)
            if module.bias is not None:
                module.bias.data.normal_(0, 0.1, generator=generator)
    encoder.train()
    with torch.no_grad():
        for batch in normalised_images(make_dataset(encoder.input_size))[: 32 * batches].split(32):
            encoder(batch)
    return encoder.eval()


@dataclass(frozen=True)
class Exported:
    """An export and what it was made from."""

    encoder: Encoder
    dataset: ImageDataset
    probe: Probe | None
    folder: Path
    manifest: ExportManifest


def _stripes(count: int, size: int, seed: int) -> ImageSplit:
    """Draw noisy stripes in one of four directions, the class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 4, (count,), generator=generator)
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    directions = torch.stack([x, y, x + y, x - y])  # (4, H, W)
    phase = torch.randint(0, 8, (count, 1, 1), generator=generator)
    waves = torch.sin((directions[labels] + phase) * 0.9)[:, None]  # (N, 1, H, W)
    tint = 0.5 + torch.rand(count, 3, 1, 1, generator=generator) / 2
    noise = 0.1 * torch.randn(count, 3, size, size, generator=generator)
    images = (127.5 + 110 * (waves * tint + noise)).clamp(0, 255).round().to(torch.uint8)
    return ImageSplit(images, labels)


def make_dataset(size: int) -> ImageDataset:
    """Four classes of striped images, channels of different mean and deviation."""
    return ImageDataset(
        name="stripes",
        train=_stripes(512, size, seed=1),
        test=_stripes(48, size, seed=2),
        classes=("vertical", "horizontal", "rising", "falling"),
        mean=(0.49, 0.51, 0.45),
        std=(0.24, 0.25, 0.27),
    )


def normalised_images(dataset: ImageDataset) -> torch.Tensor:
    """The train images as an encoder takes them, (N, 3, H, W) float32."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (dataset.mean, dataset.std))
    return (dataset.train.images.float() / 255 - mean) / std


def fit_probe(encoder: Encoder, dataset: ImageDataset) -> Probe:
    """Least squares to one-hot targets: enough to separate stripes, and closed-form."""
    with torch.no_grad():
        features = encoder(normalised_images(dataset)).double()
    centre, spread = features.mean(0), features.std(0) + 0.3
    scaled = (features - centre) / spread
    targets = nn.functional.one_hot(dataset.train.labels, len(dataset.classes)).double() - 0.25
    gram = scaled.T @ scaled + 10 * torch.eye(scaled.shape[1], dtype=torch.float64)
    weight = (torch.linalg.solve(gram, scaled.T @ targets).T * 4) / spread
    return Probe(weight.float(), (-(weight @ centre)).float())


def export_trained_like(
    name: str, size: int, strides: tuple[int, ...], with_probe: bool, once: OncePerSession, precision: str = "int8"
) -> Exported:
    """Export an encoder that looks trained, once a session for all workers."""
    torch.manual_seed(0)
    encoder = make_trained_like(create_encoder(name, input_size=size, strides=strides))
    dataset = make_dataset(size)
    probe = fit_probe(encoder, dataset) if with_probe else None
    options = ExportOptions(calibration_images=CALIBRATION_IMAGES, seed=3, precision=precision)

    def export(folder: Path) -> None:
        manifest = export_model(encoder, dataset, probe, folder / "export", options)
        (folder / "manifest.pickle").write_bytes(pickle.dumps(manifest))

    folder = once.folder(f"{name}_{precision}", export)
    manifest = pickle.loads((folder / "manifest.pickle").read_bytes())
    return Exported(encoder, dataset, probe, folder / "export", manifest)
