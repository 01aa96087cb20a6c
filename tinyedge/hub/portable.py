"""A run's configuration without the folders of the machine that trained it."""

from dataclasses import replace
from pathlib import Path

from tinyedge.training.config import TrainConfig


def portable(config: TrainConfig) -> TrainConfig:
    """Return a configuration whose images, teachers, start and plug-ins are named without where they lay."""
    teacher = ",".join(portable_teacher(part) for part in teacher_parts(config)) or None
    start = None if config.from_run is None else Path(config.from_run).name
    return replace(
        config,
        data=Path(config.data).name,
        data_root=None,
        teacher=teacher,
        from_run=start,
        encoder_plugin=_portable_plugin(config.encoder_plugin),
        method_plugin=_portable_plugin(config.method_plugin),
    )


def teacher_parts(config: TrainConfig) -> list[str]:
    """Return the teachers of a run, each as an absolute path of a run, or as NAME or NAME=WEIGHTS."""
    if config.teacher is None:
        return []
    return [config.teacher] if Path(config.teacher).exists() else config.teacher.split(",")


def portable_teacher(part: str) -> str:
    """Return the name of one teacher, without where it lies on this machine."""
    return Path(part).name if Path(part).is_absolute() else part.partition("=")[0]


def _portable_plugin(plugin: str | None) -> str | None:
    return Path(plugin).name if plugin is not None and plugin.endswith(".py") else plugin
