"""Where a model comes from: hashes, versions, the configuration and the commands."""

from dataclasses import dataclass
from typing import Any

from tinyedge.reports.subject import Subject
from tinyedge.shell import command_line
from tinyedge.training.run import CONFIG_FILE


@dataclass(frozen=True)
class Provenance:
    """Where a model comes from.

    Attributes:
        files: Name, SHA-256 and bytes of each file that a manifest names.
        versions: Of the packages that made them, by name.
        environments: Machine, compiler and flags of the benchmarks, with what each is.
        config: Of the run's training, flat: "method_options.head_width".
        commands: That make it again, and this report.
    """

    files: tuple[tuple[str, str, int], ...]
    versions: tuple[tuple[str, str], ...]
    environments: tuple[tuple[str, str], ...]
    config: tuple[tuple[str, str], ...]
    commands: tuple[str, ...]


def provenance(subject: Subject) -> Provenance:
    """Return what the manifests and the configuration say."""
    source = subject.source
    files: dict[str, tuple[str, int]] = {}
    if source.export is not None:
        recorded = source.export.made_from | source.export.files
        files |= {name: (record.sha256, record.bytes) for name, record in recorded.items()}
    if source.quantised is not None and source.quantised.source.sha256 is not None:
        files[f"{source.quantised.source.name} (the float network)"] = source.quantised.source.sha256, 0
    if source.model is not None and subject.check is not None:
        files[source.model.name] = source.model_sha256, subject.check.file_bytes
    environments = dict.fromkeys(
        (str(name), str(value))
        for bench in source.benches
        for name, value in bench.env.items()
        if name in ("machine", "compiler", "flags", "seed") and value is not None
    )
    return Provenance(
        files=tuple((name, *figures) for name, figures in files.items()),
        versions=tuple(sorted(source.versions.items())),
        environments=tuple(environments),
        config=tuple(flat(source.config)),
        commands=tuple(_commands(subject)),
    )


def flat(config: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return the keys of a configuration with a value, those of its options behind a dot, in the order of the file."""
    found = []
    for key, value in config.items():
        if isinstance(value, dict) and not prefix:
            found += flat(value, f"{key}.")
        elif value is not None:
            found.append((f"{prefix}{key}", _text(value)))
    return found


def _text(value: object) -> str:
    """Return a value as text; what is nested deeper than ours is may have no end."""
    if isinstance(value, list):
        return ", ".join("…" if isinstance(one, list | dict) else str(one) for one in value)
    return "…" if isinstance(value, dict) else str(value)


def _commands(subject: Subject) -> list[str]:
    source = subject.source
    commands = []
    if source.run is not None:
        commands.append(command_line("tinyedge", "train", "--config", source.run / CONFIG_FILE, "--out", "RUN"))
        if source.export is not None:
            commands.append(command_line("tinyedge", "export", source.given, "--int8"))
    if source.quantised is not None and source.quantised.command is not None:
        commands.append(source.quantised.command)
    return commands
