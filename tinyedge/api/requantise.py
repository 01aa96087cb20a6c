"""`tinyedge.requantise`: a .tflite file of uint8 over int8."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tinyedge.announce import silent
from tinyedge.destination import check_file
from tinyedge.errors import ConfigError
from tinyedge.installation import missing_packages_told

if TYPE_CHECKING:
    from tinyedge.exporter.requantise_model import RequantisedModel


@missing_packages_told()
def requantise(
    model: Path | str, *, out: Path | str | None = None, announce: Callable[[str], None] = silent
) -> "RequantisedModel":
    """Write a .tflite file that is quantised to uint8, as converters did before 2020, over int8.

    No samples and no training data are needed: scales stay, and with them the reals that codes stand for. The layers'
    weights are the same too but for channels with a weight further than 127 steps from the old zero point, one or two a
    layer, which are rounded to a coarser scale. Where LiteRT is installed, both files are run on random inputs.

    Args:
        model: The file.
        out: The file to write; None is `NAME_int8.tflite` in the current folder. Codes of its inputs and outputs are
            128 lower than the old ones.
        announce: Called with the name of each step when it begins.

    Raises:
        ModelError: The file is missing, damaged, not of uint8, or holds what int8 has not.
        UnsupportedOpError: It has an operator without an int8 kernel.
        ConfigError: The file to write exists, or cannot be written.
    """
    from tinyedge.exporter.requantise_model import requantise_model, requantised_file

    source = Path(model)
    target = requantised_file(source) if out is None else Path(out)
    check_file(target, "--out", ".tflite")
    if target.exists():
        raise ConfigError(f"{target} is there already: move it away, or name another file with --out")
    return requantise_model(source, target, announce)
