"""A run whose encoder begins with another run's weights: what it takes from that run, and whether they fit."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tinyedge.errors import ConfigError
from tinyedge.training.config import TrainConfig
from tinyedge.training.run import Run, load_run
from tinyedge.zoo import locate

if TYPE_CHECKING:
    from tinyedge.encoders.base import Encoder

_ARCHITECTURE = ("encoder", "channels", "strides", "act", "hidden")
_TAKEN = (*_ARCHITECTURE, "feature_stages", "image_size", "white_level", "enforce_budget")


def with_architecture(config: TrainConfig, given: Collection[str]) -> TrainConfig:
    """Return a configuration with the encoder of the run that it begins with, as far as none was asked for.

    Args:
        config: One without `from_run` comes back as it is.
        given: Its keys that somebody chose; the others are open, and so is what is None.

    Raises:
        CheckpointError: `from_run` is no run.
    """
    if config.from_run is None:
        return config
    start = _start(config.from_run).config
    taken = {key: getattr(start, key) for key in _TAKEN if key not in given or getattr(config, key) is None}
    return replace(config, **taken)


def check_start(from_run: str, config: TrainConfig, out: Path) -> None:
    """Refuse a run to begin with whose encoder is another one than is to be trained, before PyTorch is imported.

    Args:
        from_run: What the run begins with.
        config: Of the run; see `with_architecture`.
        out: The run directory.

    Raises:
        CheckpointError: `from_run` is no run, or its training has not ended.
        ConfigError: The encoders differ, it is `out` itself, or its encoder came from a plug-in that is not loaded.
    """
    start = _start(from_run)
    if start.path.resolve() == out.resolve():
        raise ConfigError(f"{out} cannot begin with itself; give another --out, or --resume to go on with it")
    start.check_trained()
    if any(getattr(start.config, key) != getattr(config, key) for key in _ARCHITECTURE):
        raise ConfigError(
            f"{from_run} holds {_in_words(start.config)}, but what is to begin with it is {_in_words(config)}; "
            "leave out --encoder, --channels, --strides and --act to train the same, or leave out --from"
        )


def load_start(encoder: "Encoder", from_run: str) -> str:
    """Give an encoder the weights of a run, and return their digest; see `encoder_digest`.

    Raises:
        CheckpointError: The weights are missing or corrupt.
        ConfigError: They are for images of another size, and do not fit this one.
    """
    from tinyedge.training.encoder_file import encoder_digest

    trained = _start(from_run).load_encoder()
    try:
        encoder.load_state_dict(trained.state_dict())
    except RuntimeError as error:
        raise ConfigError(
            f"the weights of {from_run} are for images of {trained.input_size} pixels, and do not fit a "
            f"{encoder.name} for {encoder.input_size}; give --image-size {trained.input_size}, or leave out --from"
        ) from error
    return encoder_digest(trained)


def absolute_start(from_run: str) -> str:
    """Return where a run to begin with is from any folder."""
    return str(locate(Path(from_run).expanduser()).resolve())


def _start(from_run: str) -> Run:
    return load_run(Path(from_run).expanduser())


def _in_words(config: TrainConfig) -> str:
    strides = "its own strides" if config.strides is None else f"strides {','.join(map(str, config.strides))}"
    pruned = "" if config.hidden is None else f", hidden channels {','.join(map(str, config.hidden))}"
    images = " of greyscale images" if config.channels == 1 else ""
    return f"a {config.encoder}{images} with {strides}, {config.act}{pruned}"
