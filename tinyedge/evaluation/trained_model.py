"""A trained encoder with its classifier as one PyTorch module, from a run, from the zoo or from a file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from tinyedge.data.augment import normalise
from tinyedge.data.decode import decode_image
from tinyedge.encoders.base import Encoder
from tinyedge.errors import CheckpointError, DataError
from tinyedge.plugins import require_plugin
from tinyedge.training.classifier_file import read_classifier
from tinyedge.training.encoder_file import EncoderDescription, read_description
from tinyedge.training.run import CLASSIFIER_FILE, load_run
from tinyedge.zoo import locate


class TrainedModel(nn.Module):
    """A trained encoder, and the linear classifier of its last probe, or its own, where there is one.

    Args:
        encoder: In evaluation mode.
        classifier: From features (D,) to logits (C,); None for an encoder alone.
        classes: Names by index of the logits; empty for an encoder alone.
        mean: Of each channel, for images in [0, 1].
        std: Of each channel, for images in [0, 1].
        white_level: White of 16-bit greyscale files; None is 65,535.

    Attributes:
        revision: The commit of the Hugging Face hub's repository that it is from; None where it is from none.
    """

    revision: str | None = None

    def __init__(
        self,
        encoder: Encoder,
        classifier: nn.Linear | None,
        classes: tuple[str, ...],
        mean: tuple[float, ...],
        std: tuple[float, ...],
        white_level: int | None = None,
    ):
        super().__init__()
        self.encoder = encoder
        self.classifier = classifier
        self.classes = classes
        self.mean = mean
        self.std = std
        self.white_level = white_level

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (B, C), or features (B, D) without a classifier, of normalised images (B, C, H, W) float32."""
        features: torch.Tensor = self.encoder(images)
        if self.classifier is None:
            return features
        logits: torch.Tensor = self.classifier(features)
        return logits

    def preprocess(self, files: Sequence[Path | str]) -> torch.Tensor:
        """Decode image files to what `forward` takes, as training did: (B, C, H, W) float32, normalised.

        Raises:
            DataError: A file is missing, broken or of an unknown form, or one path is given in place of a list.
        """
        if isinstance(files, str | Path):
            raise DataError(f"preprocess takes a list of files; give [{str(files)!r}]")
        how = self.encoder.input_size, self.white_level, self.encoder.channels
        pixels = np.stack([_decoded(Path(file), *how) for file in files])  # (B, H, W, C)
        return normalise(torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), self.mean, self.std)


def _decoded(file: Path, size: int, white_level: int | None, channels: int) -> np.ndarray:
    try:
        return decode_image(file, size, white_level, channels)
    except Exception as error:  # Pillow raises whatever its decoders do.
        reason = " ".join(str(error).split())
        raise DataError(f"{file} cannot be read as an image ({reason}); leave it out") from error


def load_trained(source: Path | str) -> TrainedModel:
    """Load a trained model onto the CPU, in evaluation mode.

    Args:
        source: A run directory, a model of the zoo by name, or an `encoder.safetensors` alone.

    Raises:
        CheckpointError: There is no such run, or its files are missing or corrupt.
        ConfigError: The encoder came from a plug-in that is not loaded.
        DataError: The run does not say what its images are normalised with, and its data set cannot be loaded.
    """
    path = locate(source)
    if path.is_file():
        encoder, described = _read_encoder(path)
        return TrainedModel(encoder, None, (), described.mean, described.std, described.white_level).eval()
    run = load_run(path)
    encoder = run.load_encoder()
    # The file of a run from before files said so leaves it to the data set.
    images = read_description(run.encoder_path) or run.load_dataset()
    path = run.path / CLASSIFIER_FILE
    if not path.is_file():
        return TrainedModel(encoder, None, (), images.mean, images.std, images.white_level).eval()
    stored = read_classifier(path, encoder)
    if stored.stages is not None:
        encoder.read_feature_from(stored.stages)
    return TrainedModel(encoder, stored.module(), stored.classes, images.mean, images.std, images.white_level).eval()


def _read_encoder(path: Path) -> tuple[Encoder, EncoderDescription]:
    described = read_description(path)
    if described is None:
        raise CheckpointError(f"{path} does not say which encoder it holds; give the run that it is part of")
    require_plugin(described.plugin, path)
    encoder = described.build()
    try:
        encoder.load_state_dict(load_file(path))
    except RuntimeError as error:
        raise CheckpointError(f"{path} does not hold the {described.encoder} that it says it holds") from error
    return encoder, described
