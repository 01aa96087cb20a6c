"""`encoder.safetensors`: an encoder's weights, and in the same file what it takes to build and to feed it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tinyedge.encoders.registry import LAST_STAGE
from tinyedge.errors import CheckpointError

if TYPE_CHECKING:
    import torch

    from tinyedge.encoders.base import Encoder

_KEY = "tinyedge"  # In the file's metadata; its value is a JSON object, for safetensors holds texts alone.


@dataclass(frozen=True)
class EncoderDescription:
    """What an encoder is built from, and what its images are normalised with.

    Attributes:
        encoder: Its name in the registry.
        input_size: H = W of its images, in pixels.
        strides: As for `create_encoder`.
        act: As for `create_encoder`.
        hidden: As for `create_encoder`.
        mean: Of each channel, for images in [0, 1]: three of RGB, one of greyscale.
        std: Of each channel, for images in [0, 1].
        plugin: What registered it; None for one of tinyedge's own.
        white_level: White of 16-bit greyscale files; None where its data set had none.
        feature_stages: As for `create_encoder`.
    """

    encoder: str
    input_size: int
    strides: tuple[int, ...]
    act: str
    hidden: tuple[int, ...] | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    plugin: str | None
    white_level: int | None = None
    feature_stages: tuple[int, ...] = LAST_STAGE

    def build(self) -> "Encoder":
        """Return an encoder of this description, with fresh weights.

        Raises:
            ConfigError: It is not known.
        """
        from tinyedge.encoders.registry import create_encoder

        return create_encoder(
            self.encoder,
            input_size=self.input_size,
            strides=self.strides,
            act=self.act,
            hidden=self.hidden,
            channels=len(self.mean),
            feature_stages=self.feature_stages,
            enforce_budget=False,
        )


def encoder_bytes(
    encoder: "Encoder",
    weights: "dict[str, torch.Tensor]",
    mean: Sequence[float],
    std: Sequence[float],
    white_level: int | None = None,
) -> bytes:
    """Return the content of a file that alone is enough to build the encoder again.

    Args:
        encoder: The encoder.
        weights: The encoder's, with batch-norm statistics, in the type to keep them in.
        mean: What its images are normalised with.
        std: What its images are normalised with.
        white_level: White of 16-bit greyscale files.
    """
    from safetensors.torch import save

    from tinyedge.encoders.registry import encoder_plugin

    description = EncoderDescription(
        encoder=encoder.name,
        input_size=encoder.input_size,
        strides=encoder.strides,
        act=encoder.act,
        hidden=encoder.hidden,
        mean=tuple(mean),
        std=tuple(std),
        plugin=encoder_plugin(encoder.name),
        white_level=white_level,
        feature_stages=encoder.feature_stages,
    )
    values = asdict(description)
    # Files that need neither stay byte for byte what they were.
    if white_level is None:
        del values["white_level"]
    if encoder.feature_stages == LAST_STAGE:
        del values["feature_stages"]
    content: bytes = save(
        {name: value.detach().cpu().contiguous() for name, value in weights.items()},
        metadata={_KEY: json.dumps(values)},
    )
    return content


def encoder_settings(encoder: "Encoder") -> str:
    """Return all that decides what an encoder computes beside its weights, as digests have it."""
    settings = f"{encoder.input_size} {encoder!r}"  # repr() names every stride and activation
    if encoder.feature_stages != LAST_STAGE:
        settings += f" stages {encoder.feature_stages}"
    # Whether a ReLU overwrites what it is given does not; those of tinyedge's own encoders once did not.
    bases = {base.__module__ for base in type(encoder).__mro__} - {"tinyedge.encoders.base"}
    own = any(module.startswith("tinyedge.") for module in bases)
    return settings.replace("inplace=True", "") if own else settings


def encoder_digest(encoder: "Encoder") -> str:
    """SHA-256 of all weights and batch-norm statistics, and of the settings that change what they compute."""
    return _digest(encoder, encoder_settings(encoder))


def weights_digest(encoder: "Encoder") -> str:
    """SHA-256 of all weights and batch-norm statistics, whatever version of PyTorch prints the settings."""
    return _digest(encoder, "")


def _digest(encoder: "Encoder", settings: str) -> str:
    digest = hashlib.sha256(settings.encode())
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def read_description(path: Path) -> EncoderDescription | None:
    """Return what an encoder's file says of it; None for one that was written before files said it.

    Raises:
        CheckpointError: The file is missing, corrupt, or its description is.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as stored:
            text = (stored.metadata() or {}).get(_KEY)
        if text is None:
            return None
        values = json.loads(text)
        tuples = {key: tuple(values[key]) for key in ("strides", "mean", "std", "feature_stages") if key in values}
        hidden = None if values["hidden"] is None else tuple(values["hidden"])
        return EncoderDescription(**{**values, **tuples, "hidden": hidden})
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is no encoder of tinyedge, or corrupt ({error})") from error
