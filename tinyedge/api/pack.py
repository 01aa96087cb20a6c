"""`tinyedge.pack`: a run as a folder for the Hugging Face hub."""

from pathlib import Path
from typing import TYPE_CHECKING

from tinyedge.destination import check_folder
from tinyedge.errors import ConfigError
from tinyedge.hub.licences import check_licence
from tinyedge.installation import missing_packages_told
from tinyedge.manifest.manifest import EXPORT_FOLDER, MANIFEST_FILE, read_manifest
from tinyedge.manifest.model_path import resolve_model
from tinyedge.training.run import Run, load_run

if TYPE_CHECKING:
    from tinyedge.hub.folder import PackedFolder


@missing_packages_told()
def pack(run: Run | Path | str, out: Path | str, *, licence: str | None = None) -> "PackedFolder":
    """Write a folder that is ready for the Hugging Face hub: weights, quantised model, and a card with its metadata.

    Nothing is sent anywhere: `hf upload OWNER/NAME FOLDER` does that. `tinyedge.load` takes the folder and, once it is
    uploaded, "OWNER/NAME"; every command takes the folder. Folders of this machine are not named in it.

    Args:
        run: What `train` returned, a run directory, or a model of the zoo. Its quantised export is packed if there is
            one.
        out: The folder, whose name is the model's. One that `pack` wrote, and nobody changed since, is replaced; any
            other has to be new or empty.
        licence: As the hub calls it, such as "apache-2.0"; None leaves it out of the card.

    Raises:
        ConfigError: `out` holds something else, or cannot be written to; or the hub knows no such licence.
        CheckpointError: There is no such run, its training has not ended, or a file of it is corrupt.
        ExportOutdated: The run was trained on since it was exported.
        ModelError: Its export is not as it was written.
    """
    if licence is not None:
        check_licence(licence)
    name = run.path if isinstance(run, Run) else run
    opened, folder = load_run(Path(name)), Path(out)
    opened.check_trained()
    check_folder(folder, "give another folder to --out")
    if folder.resolve() == Path.cwd():
        raise ConfigError(f"{folder} is the folder that this runs in, and cannot be replaced: give another to --out")
    exports = [path for path in (opened.path / EXPORT_FOLDER, opened.path) if (path / MANIFEST_FILE).is_file()]
    model = resolve_model(name) if exports and read_manifest(exports[0]).model is not None else None
    from tinyedge.hub.folder import check_replaceable, write_folder

    check_replaceable(folder)
    return write_folder(opened, model, folder, folder.resolve().name, licence)
