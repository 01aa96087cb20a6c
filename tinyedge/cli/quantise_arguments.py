"""What the options of `tinyedge quantise` say, beyond their types."""

from collections.abc import Sequence
from pathlib import Path

from tinyedge.errors import ConfigError


def calibration_source(calibration: str | None, images: Path | None) -> Path | None:
    """Return where the calibration samples are.

    Args:
        calibration: Of `--calibration`.
        images: Of `--images`, its name until 0.2.0.

    Raises:
        ConfigError: Both are given, or a number, which `--calibration` was until 0.2.0.
    """
    if images is not None and calibration is not None:
        raise ConfigError("--images is --calibration by its old name: give one of them")
    if calibration is None:
        return images
    if calibration.isdecimal() and not Path(calibration).exists():
        raise ConfigError(
            f"--calibration {calibration} names no samples; for their number give --calibration-count {calibration}"
        )
    return Path(calibration)


def input_shapes(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of `--input-shape NAME:1,3,224,224` by input name.

    Raises:
        ConfigError: One is not of that form.
    """
    shapes = {}
    for text in texts:
        name, colon, sizes = text.rpartition(":")
        parts = sizes.split(",")
        if not colon or not name or not all(part.isdecimal() and int(part) > 0 for part in parts):
            raise ConfigError(f"--input-shape {text} is not of the form NAME:1,3,224,224")
        shapes[name] = tuple(map(int, parts))
    return shapes


def read_classes(file: Path | None) -> tuple[str, ...]:
    """Return the names of a file of classes, a line each; none without a file.

    Raises:
        ConfigError: It cannot be read, or holds no names.
    """
    if file is None:
        return ()
    try:
        names = tuple(line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{file} cannot be read ({error}): give a text file with a class a line to --classes"
        ) from error
    if not names:
        raise ConfigError(f"{file} holds no names: give a text file with a class a line to --classes")
    return names
