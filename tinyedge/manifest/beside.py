"""What the manifest beside a .tflite file says of its images and classes, whichever command wrote it."""

from dataclasses import dataclass
from pathlib import Path

from tinyedge.manifest.manifest import (
    MANIFEST_FILE,
    ExportManifest,
    Preprocessing,
    TensorSpec,
    read_manifest,
    record_file,
)
from tinyedge.manifest.quantised import read_quantised_manifest


@dataclass(frozen=True)
class ImageManifest:
    """How a model takes images, and what it calls them.

    Attributes:
        input: The image.
        preprocessing: From pixels to the input.
        classes: Class names by index of the output; empty where the outputs are no classes, None where nothing tells.
    """

    input: TensorSpec
    preprocessing: Preprocessing
    classes: tuple[str, ...] | None


def export_of(model: Path) -> ExportManifest | None:
    """Return the `export.json` beside a .tflite file, if it tells of that very file.

    Raises:
        ModelError: There is a manifest, and it is damaged or of another schema.
    """
    if not (model.parent / MANIFEST_FILE).is_file():
        return None
    export = read_manifest(model.parent)
    return export if export.files.get(model.name) == record_file(model) else None


def manifest_of(model: Path) -> ImageManifest | None:
    """Return what lies beside a .tflite file: `export.json` of an export, or `NAME.json` of `tinyedge quantise`.

    Args:
        model: The file.

    Returns:
        None where there is none, it tells of another file, or the model takes no images.

    Raises:
        ModelError: There is a manifest, and it is damaged or of another schema.
    """
    export = export_of(model)
    if export is not None:
        return ImageManifest(export.input, export.preprocessing, export.classes)
    quantised = read_quantised_manifest(model)
    if quantised is None or quantised.preprocessing is None or quantised.file != record_file(model):
        return None
    (image,) = quantised.inputs
    return ImageManifest(image, quantised.preprocessing, quantised.classes or None)
