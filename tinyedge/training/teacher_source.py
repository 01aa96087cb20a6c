"""What a user calls a teacher: a run, a published network, or a patch dictionary; free of torch."""

from pathlib import Path

from tinyedge.encoders.registry import check_encoder
from tinyedge.errors import CheckpointError
from tinyedge.training.run import load_run
from tinyedge.zoo import locate

# Caron et al. 2021, "Emerging Properties in Self-Supervised Vision Transformers": what CA-DSSL distils.
PUBLISHED = {"dino_vits16": "vit_small_patch16_224.dino"}
TIMM = "timm:"
_ANY_SIZE = 32  # pixels: a dictionary's name is checked, and its patches fit images of all sizes


def split_source(source: str) -> list[str]:
    """Return the parts of a source (see `tinyedge.training.teacher.load_teacher`), one a teacher."""
    return [source] if Path(source).expanduser().exists() else [part.strip() for part in source.split(",")]


def published_network(part: str) -> tuple[str, str] | None:
    """Return timm's name of the published network that a part of a source names, and the file of its weights.

    The file is empty where none is named, and None is returned for a run.
    """
    name, _, weights = part.partition("=")
    if name in PUBLISHED:
        return PUBLISHED[name], weights
    return (name.removeprefix(TIMM), weights) if name.startswith(TIMM) else None


def is_dictionary(part: str) -> bool:
    """Return whether a part of a source names a patch dictionary, `patches` or `patches:ATOMS`."""
    return part.partition(":")[0] == "patches" and not Path(part).expanduser().exists()


def absolute_source(source: str) -> str:
    """Return `source` with absolute paths, so that a run can be resumed from any folder."""
    return ",".join(_absolute(part) for part in split_source(source))


def check_source(source: str) -> None:
    """Refuse a source whose run or file of weights is missing.

    Raises:
        CheckpointError: It is.
        ConfigError: The number of a dictionary's patches is none.
    """
    for part in split_source(source):
        network = published_network(part)
        if is_dictionary(part):
            check_encoder(part, input_size=_ANY_SIZE)
        elif network is None:
            load_run(Path(part).expanduser())
        elif network[1] and not Path(network[1]).expanduser().is_file():
            name = part.partition("=")[0]
            raise CheckpointError(
                f"{network[1]} does not exist; give the file of the weights as --teacher {name}=WEIGHTS"
            )


def _absolute(part: str) -> str:
    if is_dictionary(part):
        return part
    network = published_network(part)
    if network is None:
        return str(locate(Path(part).expanduser()).resolve())
    name, weights = part.partition("=")[0], network[1]
    return f"{name}={Path(weights).expanduser().resolve()}" if weights else name
