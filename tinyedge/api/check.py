"""`tinyedge.check`: what is to be known of a model, or of an encoder before it is trained, ahead of any board."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload

from tinyedge.boards.board import board_names, load_board
from tinyedge.encoders.registry import check_encoder as check_encoder_options
from tinyedge.errors import ConfigError
from tinyedge.installation import missing_packages_told
from tinyedge.manifest.model_path import resolve_model

if TYPE_CHECKING:
    from tinyedge.checks.check import CheckReport
    from tinyedge.checks.encoder import EncoderReport

_DEFAULT_SIZE = 32


@overload
def check(model: Path | str, *, board: str | None = None) -> "CheckReport": ...


@overload
def check(
    *,
    encoder: str,
    board: str | None = None,
    input_size: int = ...,
    channels: int = 3,
    strides: Sequence[int] | None = None,
    act: str = "relu",
    classes: int | None = None,
) -> "EncoderReport": ...


@missing_packages_told()
def check(
    model: Path | str | None = None,
    *,
    encoder: str | None = None,
    board: str | None = None,
    input_size: int = _DEFAULT_SIZE,
    channels: int = 3,
    strides: Sequence[int] | None = None,
    act: str = "relu",
    classes: int | None = None,
) -> "CheckReport | EncoderReport":
    """Check operators, budgets and layers of a model, or of an encoder with random weights, before anybody flashes it.

    Args:
        model: Any .tflite file, or a run directory with an export.
        encoder: An encoder by name, in place of a model.
        board: What it has to fit; None is any board.
        input_size: H = W of the encoder's images, in pixels.
        channels: Of the encoder's images: 3 for RGB, 1 for greyscale.
        strides: Of the encoder; None are its own for that size.
        act: The encoder's activation.
        classes: Of a classifier behind the encoder; None is none.

    Returns:
        The report; its `failure()` says why the model can run nowhere, or is None.

    Raises:
        ModelError: No such file, or it is no TFLite model.
        ConfigError: An unknown board or encoder, options that do not fit it, a model and an encoder, or neither.
    """
    boards = [load_board(name) for name in ([board] if board else board_names())]
    if model is not None and encoder is None:
        from tinyedge.checks.check import check_model

        return check_model(resolve_model(Path(model)), boards)
    if encoder is None or model is not None:
        raise ConfigError("check takes one model or one encoder: give tinyedge.check(MODEL) or check(encoder=NAME)")
    own = None if strides is None else tuple(strides)
    check_encoder_options(encoder, input_size=input_size, strides=own, act=act)
    from tinyedge.checks.encoder import check_encoder

    return check_encoder(
        encoder, boards, input_size=input_size, channels=channels, strides=own, act=act, classes=classes
    )
