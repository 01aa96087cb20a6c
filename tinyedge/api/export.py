"""`tinyedge.export`: a trained run to ONNX and quantised TFLite."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tinyedge.announce import silent
from tinyedge.exporter.options import ExportOptions, check_export_folder, check_exportable
from tinyedge.installation import missing_packages_told, require
from tinyedge.manifest.manifest import EXPORT_FOLDER
from tinyedge.parity.gate_limits import Gates
from tinyedge.training.run import Run, claimed_run, load_run

if TYPE_CHECKING:
    from tinyedge.manifest.manifest import ExportManifest


@missing_packages_told()
def export(
    run: Run | Path | str,
    *,
    int8: bool = True,
    precision: str = "int8",
    sensitivity: bool = False,
    qat: float = 0.0,
    calibration: int = 512,
    seed: int = 0,
    max_float_difference: float = 1e-3,
    max_drop: float = 1.0,
    encoder_only: bool = False,
    data: str | None = None,
    announce: Callable[[str], None] = silent,
    detail: Callable[[str], None] = silent,
) -> "ExportManifest":
    """Fold, convert and quantise a trained encoder with its classifier, and prove that the stages agree.

    Writes `RUN/export`: `model.onnx`, `model_float.tflite`, the quantised model, `export.json`, `parity.json`, plots.

    Args:
        run: What `train` returned, its directory, or a model of the zoo, of which a copy is made in the current folder;
            probed, unless `encoder_only`.
        int8: Whether to write a quantised model too, or the float models alone.
        precision: Of the quantised model: `int8`; `mixed`: 16x8 (int16 activations) where it is worth its cost; `16x8`
            wherever it exists.
        sensitivity: Whether to measure what each operator's INT8 costs, as `mixed` does.
        qat: Epochs of a finish that trains the INT8 codes, without labels, towards the float output; 0 is none.
        calibration: How many train images set the activations' ranges; where there are fewer, all of them.
        seed: Of the draw of those images.
        max_float_difference: Gate: the most that PyTorch, ONNX and float TFLite may differ, relative to the largest
            output.
        max_drop: Gate: points of top-1 that the quantised model may lose on the test images.
        encoder_only: Leave the classifier out; the feature is the output.
        data: Data set in place of the one that the run was probed on, which may lie elsewhere on this machine.
        announce: Called with the name of each step when it begins.
        detail: Called with how far a long step is.

    Raises:
        ConfigError: The options contradict each other, or the encoder cannot be deployed.
        CheckpointError: The weights or the probe are missing or corrupt.
        DataError: The data set is missing or broken.
        ToolMissing: A package of the export is not installed.
        GateFailed: Everything was written, but a gate does not hold.
    """
    options = ExportOptions(
        int8=int8,
        calibration_images=calibration,
        seed=seed,
        gates=Gates(max_float_difference, max_drop),
        precision=precision,
        sensitivity=sensitivity,
        qat_epochs=qat,
    )
    name = run.path if isinstance(run, Run) else Path(run)
    found = load_run(name, data)
    found.check_trained()
    found.check_dataset()
    check_export_folder(found.path / EXPORT_FOLDER)
    if not encoder_only:
        check_exportable(found.path)
    require("an export", "export")
    from tinyedge.conversion.converter import Converter

    with claimed_run(found, name) as own, Converter() as converter:  # It loads its packages while PyTorch loads here.
        from tinyedge.exporter.export import export_run

        return export_run(
            own,
            options,
            classifier=not encoder_only,
            announce=announce,
            detail=detail,
            converter=converter,
        )
