"""What `train --overwrite` removes: the files that tinyedge wrote into a run, and no other."""

from pathlib import Path

from tinyedge.destination import written_parts
from tinyedge.errors import ConfigError
from tinyedge.manifest.manifest import EXPORT_FILES, EXPORT_FOLDER
from tinyedge.training.run import (
    BRANCHES,
    CHECKPOINT_FILE,
    CLASSIFIER_FILE,
    CONFIG_FILE,
    ENCODER_FILE,
    GALLERY_FILE,
    METRICS_FILE,
)

# What train, probe, detect, export and build write.
_OF_A_RUN = (
    *(CONFIG_FILE, ENCODER_FILE, CHECKPOINT_FILE, METRICS_FILE, "metrics.csv", "tensorboard/events.out.tfevents.*"),
    *("probe.json", CLASSIFIER_FILE, "features*.safetensors", "detection.json", "plots/*.png", GALLERY_FILE),
    *("card.md", "metrics.json", "teacher.yaml", "teacher_of_teacher.yaml"),  # Of a copy of the zoo's.
    *(f"firmware/*/tinyedge.{suffix}" for suffix in ("elf", "bin", "hex", "map")),
    *(f"{folder}/{name}" for folder in (EXPORT_FOLDER, f".{EXPORT_FOLDER}.*") for name in EXPORT_FILES),
)
_FILES = (*_OF_A_RUN, *(f"{BRANCHES}/*/{name}" for name in _OF_A_RUN))
# The keys that every run's configuration has, and hardly anybody writes by hand.
_RESOLVED = frozenset({"augment", "batch_size", "data", "encoder", "method", "seed", "warmup_epochs"})
_ADVICE = "move it away, or give another folder to --out"


def check_replaceable(run: Path) -> None:
    """Refuse a folder that holds anything but a run.

    Args:
        run: A folder with a `config.yaml`.

    Raises:
        ConfigError: The configuration is no run's, or a file is not tinyedge's; the first such file is named.
    """
    import yaml

    try:
        values = yaml.safe_load((run / CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        values = None
    if not isinstance(values, dict) or not {key for key, value in values.items() if value is not None} >= _RESOLVED:
        raise ConfigError(f"{run / CONFIG_FILE} is not the configuration of a run; {_ADVICE}")
    written_parts(run, _FILES, _ADVICE)


def remove_run(run: Path) -> None:
    """Remove what tinyedge wrote into a run; the folder itself stays.

    Args:
        run: May be absent.

    Raises:
        ConfigError: It holds something else; then nothing is removed.
    """
    folders, files = written_parts(run, _FILES, _ADVICE)
    for file in sorted(files, key=(run / CONFIG_FILE).__eq__):  # Last that by which it is known as a run.
        file.unlink()
    for folder in reversed(folders):  # From the inside out.
        folder.rmdir()
