"""Which model file a command means by RUN, MODEL.tflite or the name of a model of the zoo."""

from pathlib import Path

from tinyedge.data.registry import images_option
from tinyedge.errors import ExportOutdated, ModelError
from tinyedge.manifest.manifest import EXPORT_FOLDER, MANIFEST_FILE, ExportManifest, read_manifest, record_file
from tinyedge.shell import command_line
from tinyedge.zoo import locate, zoo_hint


def resolve_model(source: Path | str) -> Path:
    """Return the quantised .tflite file that a run's or a zoo model's manifest names, or the file itself.

    Args:
        source: A run directory with a quantised export, a .tflite file, or the name or folder of a model of the zoo.

    Raises:
        ModelError: There is no such file, or the run has no quantised export, or another file in its place.
        ExportOutdated: The run was trained on since it was exported.
    """
    path = locate(source)
    if path.is_dir():
        # An entry of the zoo is the export and the run in one folder, until it is exported anew.
        exports = [folder for folder in (path / EXPORT_FOLDER, path) if (folder / MANIFEST_FILE).is_file()]
        if not exports:
            raise ModelError(_not_exported(path, source))
        folder = exports[0]
        manifest = read_manifest(folder)
        name = manifest.model
        run = path.parent if path.name == EXPORT_FOLDER else path
        export = command_line("tinyedge", "export", run, "--int8")
        if name is None or not (folder / name).is_file():
            raise ModelError(f"{folder} has no {name or 'quantised model'}: run `{export}` first")
        _check_own(folder, manifest, export)
        _check_current(run, manifest, export)
        return folder / name
    if not path.is_file():
        raise ModelError(
            f"no such file or run: {source}; give a .tflite file, a run directory of `tinyedge train`{zoo_hint(source)}"
        )
    return path


def _check_own(folder: Path, manifest: ExportManifest, export: str) -> None:
    """Make sure that a manifest's model is the file beside it, with the bytes that were exported."""
    name = str(manifest.model)
    if Path(name).name != name:
        raise ModelError(f"{folder / MANIFEST_FILE} names a model outside of its folder, {name!r}: run `{export}`")
    record = manifest.files.get(name)
    if record is not None and record != record_file(folder / name):
        raise ModelError(
            f"{folder / name} is not the file that was exported: run `{export}`, or give the path of the file itself"
        )


def _check_current(run: Path, manifest: ExportManifest, export: str) -> None:
    """Make sure that a run's encoder is the one that was exported; where it went, as by a move, nothing is known."""
    for name, record in manifest.made_from.items():
        source = run / Path(name).name
        if source.is_file() and record_file(source) != record:
            raise ExportOutdated(
                f"{source} was trained on since it was exported: run `{export}`, or give the .tflite file itself"
            )


def _not_exported(folder: Path, source: Path | str) -> str:
    """Say what can be done with a folder that no export is in: it may be a run, hold models, or be anything."""
    export = command_line("tinyedge", "export", folder, "--int8", *images_option(folder / "config.yaml"))
    models = sorted(folder.glob("*.tflite"))
    file = f"one of its models, such as {models[0]}" if models else "a .tflite file"
    return (
        f"{folder} holds no {EXPORT_FOLDER}/{MANIFEST_FILE}; if it is a run of `tinyedge train`, run `{export}` first; "
        f"else give {file}{zoo_hint(source)}"
    )


def default_firmware_folder(source: Path, board: str) -> Path:
    """Return where a firmware image goes if nobody says: into a run; for a .tflite file, the current folder."""
    source = Path(source)
    return source / "firmware" / board if source.is_dir() else Path(f"{source.stem}-{board}")
