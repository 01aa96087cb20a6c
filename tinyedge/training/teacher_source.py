"""What a user calls a teacher: the run of another encoder, or a published network; free of torch."""

from pathlib import Path

from tinyedge.errors import CheckpointError
from tinyedge.training.run import load_run
from tinyedge.zoo import locate

# Caron et al. 2021, "Emerging Properties in Self-Supervised Vision Transformers": what CA-DSSL distils.
PUBLISHED = {"dino_vits16": "vit_small_patch16_224.dino"}
TIMM = "timm:"


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


def absolute_source(source: str) -> str:
    """Return `source` with absolute paths, so that a run can be resumed from any folder."""
    return ",".join(_absolute(part) for part in split_source(source))


def check_source(source: str) -> None:
    """Refuse a source whose run or file of weights is missing.

    Raises:
        CheckpointError: It is.
    """
    for part in split_source(source):
        network = published_network(part)
        if network is None:
            load_run(Path(part).expanduser())
        elif network[1] and not Path(network[1]).expanduser().is_file():
            name = part.partition("=")[0]
            raise CheckpointError(
                f"{network[1]} does not exist; give the file of the weights as --teacher {name}=WEIGHTS"
            )


def _absolute(part: str) -> str:
    network = published_network(part)
    if network is None:
        return str(locate(Path(part).expanduser()).resolve())
    name, weights = part.partition("=")[0], network[1]
    return f"{name}={Path(weights).expanduser().resolve()}" if weights else name
