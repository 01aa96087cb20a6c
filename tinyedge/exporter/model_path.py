"""Which model file a command means by RUN or MODEL.tflite."""

from pathlib import Path

from tinyedge.errors import ModelError

_EXPORT_FOLDER = "export"


def resolve_model(source: Path) -> Path:
    """Return the quantised .tflite file that a run's manifest names, or the file itself.

    Args:
        source: A run directory with a quantised export, or a .tflite file.

    Raises:
        ModelError: There is no such file, or the run has no quantised export.
    """
    from tinyedge.exporter.manifest import read_manifest

    source = Path(source)
    if source.is_dir():
        folder = source / _EXPORT_FOLDER
        name = read_manifest(folder).model
        if name is None or not (folder / name).is_file():
            raise ModelError(
                f"{folder} has no {name or 'quantised model'}: run `tinyedge export {source} --int8` first"
            )
        return folder / name
    if not source.is_file():
        raise ModelError(f"no such file or run: {source}; give a .tflite file or a run directory of `tinyedge train`")
    return source


def default_firmware_folder(source: Path, board: str) -> Path:
    """Return where a firmware image goes if nobody says: into the run, or beside a .tflite file."""
    source = Path(source)
    return source / "firmware" / board if source.is_dir() else source.with_name(f"{source.stem}-{board}")
