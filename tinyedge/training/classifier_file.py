"""`probe.safetensors`: the linear classifier of a run's feature, of a probe or trained with the encoder."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tinyedge.atomic import atomic_path
from tinyedge.errors import CheckpointError
from tinyedge.shell import command_line
from tinyedge.training.encoder_file import weights_digest

if TYPE_CHECKING:
    import torch
    from torch import nn

    from tinyedge.encoders.base import Encoder

_ENCODER_KEY = "encoder_sha256"


@dataclass(frozen=True)
class StoredClassifier:
    """What the file holds.

    Attributes:
        weight: (C, D) float32, of the raw feature.
        bias: (C,) float32.
        classes: Names by index of the logits.
        label_fraction: Share of each class's train labels that it learned from.
        data: The data set whose classes they are; None where an earlier version wrote the file.
        encoder_sha256: `weights_digest` of the encoder whose feature it takes; None likewise.
        stages: Stages of the encoder whose pooled maps are the feature; None is the encoder's own.
    """

    weight: "torch.Tensor"
    bias: "torch.Tensor"
    classes: tuple[str, ...]
    label_fraction: float
    data: str | None
    encoder_sha256: str | None = None
    stages: tuple[int, ...] | None = None

    def module(self) -> "nn.Linear":
        """Return it as a module, from features (B, D) to logits (B, C)."""
        from torch import nn

        classifier: nn.Linear = nn.utils.skip_init(nn.Linear, self.weight.shape[1], self.weight.shape[0])
        classifier.load_state_dict({"weight": self.weight, "bias": self.bias})
        return classifier


def save_classifier(path: Path, stored: StoredClassifier, *, l2: float | None = None) -> None:
    """Write the file, whole or not at all.

    Args:
        path: Of the file.
        stored: What to write.
        l2: The penalty that a probe was fitted with; None for a classifier that was trained with the encoder.
    """
    from safetensors.torch import save_file

    origin = {"trained": "with the encoder"} if l2 is None else {"l2": str(l2), "seed": "0"}
    if stored.stages is not None:
        origin["stages"] = json.dumps(stored.stages)
    with atomic_path(path) as temporary:
        save_file(
            {"weight": stored.weight.contiguous(), "bias": stored.bias.contiguous()},
            temporary,
            metadata={
                "classes": json.dumps(stored.classes),
                "data": stored.data or "",
                "label_fraction": str(stored.label_fraction),
                **({} if stored.encoder_sha256 is None else {_ENCODER_KEY: stored.encoder_sha256}),
                **origin,
            },
        )


def read_classifier(path: Path, encoder: "Encoder | None" = None) -> StoredClassifier:
    """Read the file.

    Args:
        path: Of the file.
        encoder: Whose feature it is for; None where that is not to be checked.

    Raises:
        CheckpointError: It is missing or corrupt, or learned from another encoder.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as stored:
            metadata = stored.metadata() or {}
            classifier = StoredClassifier(
                stored.get_tensor("weight").float(),
                stored.get_tensor("bias").float(),
                tuple(json.loads(metadata["classes"])),
                float(metadata.get("label_fraction", 1.0)),
                metadata.get("data"),
                metadata.get(_ENCODER_KEY),
                tuple(json.loads(metadata["stages"])) if "stages" in metadata else None,
            )
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise corrupt_classifier(path, error) from error
    if encoder is not None:
        _check_encoder(path, metadata, encoder)
    return classifier


def _check_encoder(path: Path, metadata: Mapping[str, str], encoder: "Encoder") -> None:
    """Refuse a classifier that learned from another encoder; of which, files of earlier versions do not say.

    Args:
        path: Of the file.
        metadata: That of the file.
        encoder: Whose feature it is to take.

    Raises:
        CheckpointError: It learned from another one.
    """
    if metadata.get(_ENCODER_KEY) not in (None, weights_digest(encoder)):
        again = command_line("tinyedge", "probe", path.parent)
        raise CheckpointError(f"{path} learned from another encoder than the run's; remove it and run `{again}`")


def read_origin(path: Path) -> tuple[str | None, bool]:
    """Return which data set's classes a file has, and whether training wrote it; without importing PyTorch.

    The data set is None in the file of a run that was probed before files said it.

    Raises:
        CheckpointError: It is missing or corrupt.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as stored:
            metadata = stored.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise corrupt_classifier(path, error) from error
    return metadata.get("data"), "trained" in metadata


def corrupt_classifier(path: Path, error: Exception) -> CheckpointError:
    """Return what to raise for a file that cannot be read."""
    again = command_line("tinyedge", "probe", path.parent)
    return CheckpointError(f"{path} is corrupt ({error}); run `{again}` again")
