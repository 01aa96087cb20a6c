"""Which model file a command means by RUN or MODEL.tflite."""

from pathlib import Path

from tinyedge.errors import ModelError

EXPORTED_MODEL = Path("export") / "model_int8.tflite"


def resolve_model(source: Path) -> Path:
    """Return the INT8 .tflite file of a run directory, or the file itself.

    Args:
        source: A run directory with an INT8 export, or a .tflite file.

    Raises:
        ModelError: There is no such file, or the run has no INT8 export.
    """
    source = Path(source)
    if source.is_dir():
        model = source / EXPORTED_MODEL
        if not model.is_file():
            raise ModelError(f"{source} has no {EXPORTED_MODEL}: run `tinyedge export {source} --int8` first")
        return model
    if not source.is_file():
        raise ModelError(f"no such file or run: {source}; give a .tflite file or a run directory of `tinyedge train`")
    return source


def default_firmware_folder(source: Path, board: str) -> Path:
    """Return where a firmware image goes if nobody says: into the run, or beside a .tflite file."""
    source = Path(source)
    return source / "firmware" / board if source.is_dir() else source.with_name(f"{source.stem}-{board}")
