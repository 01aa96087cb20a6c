"""`tinyedge export`: a trained run to ONNX and quantised TFLite."""

from pathlib import Path

import typer

from tinyedge.cli.completions import zoo_models
from tinyedge.cli.output import JSON, print_json, print_next, report_console
from tinyedge.cli.plugin_option import PLUGIN, load_plugins
from tinyedge.shell import command_line


def export(
    run: Path = typer.Argument(
        ..., metavar="RUN", autocompletion=zoo_models, help="A run directory that `tinyedge train` wrote."
    ),
    int8: bool = typer.Option(
        True,
        "--int8/--float",
        help="Write a quantised model too, or the float models alone.",
        rich_help_panel="Quantisation",
    ),
    precision: str = typer.Option(
        "int8",
        help="int8; mixed: 16x8 (int16 activations) where it is worth its cost; 16x8 wherever it exists.",
        rich_help_panel="Quantisation",
    ),
    sensitivity: bool = typer.Option(
        False,
        "--sensitivity",
        help="Measure what each operator's INT8 costs, as mixed does (half a minute more).",
        rich_help_panel="Quantisation",
    ),
    qat: float = typer.Option(
        0.0,
        "--qat",
        metavar="EPOCHS",
        help="Finish by training the INT8 codes, without labels, towards the float output.",
        rich_help_panel="Quantisation",
    ),
    calibration: int = typer.Option(
        512,
        help="How many train images set the activations' ranges; where there are fewer, all of them.",
        rich_help_panel="Quantisation",
    ),
    seed: int = typer.Option(0, help="Of the draw of those images.", rich_help_panel="Quantisation"),
    data: str = typer.Option(None, help="Data set in place of the run's own, which may lie elsewhere on this machine."),
    encoder_only: bool = typer.Option(
        False, "--encoder-only", help="Leave the classifier out; the feature is the output."
    ),
    max_float_difference: float = typer.Option(
        1e-3,
        help="Gate: the most that PyTorch, ONNX and float TFLite may differ, relative to the largest output.",
        rich_help_panel="Gates",
    ),
    max_drop: float = typer.Option(
        1.0, help="Gate: points of top-1 that INT8 may lose on the test images.", rich_help_panel="Gates"
    ),
    plugin: list[str] = PLUGIN,
    json: bool = JSON,
) -> None:
    """Fold, convert and quantise a trained encoder with its classifier, and prove that the stages agree.

    A gate that does not hold is exit code 3; the files and the report are there all the same.
    """
    import time
    from dataclasses import asdict

    from tinyedge.api.export import export as export_run
    from tinyedge.cli.steps import StepProgress
    from tinyedge.errors import GateFailed

    plugins = load_plugins(plugin)
    console = report_console(json)
    start = time.perf_counter()
    failed = None
    with StepProgress(console) as progress:
        try:
            export_run(
                run,
                int8=int8,
                precision=precision,
                sensitivity=sensitivity,
                qat=qat,
                calibration=calibration,
                seed=seed,
                max_float_difference=max_float_difference,
                max_drop=max_drop,
                encoder_only=encoder_only,
                data=data,
                announce=progress.begin,
                detail=progress.detail,
            )
        except GateFailed as error:
            failed = error

    from tinyedge.cli.tables.export import print_export, print_sensitivity
    from tinyedge.manifest.manifest import EXPORT_FOLDER, read_manifest
    from tinyedge.quantisation.sensitivity import read_sensitivity

    folder = run / EXPORT_FOLDER
    manifest = read_manifest(folder)
    if json:
        print_json(asdict(manifest))
    else:
        sensitivities = read_sensitivity(folder)
        print_export(manifest, folder, time.perf_counter() - start, console)
        if sensitivities is not None:
            print_sensitivity(sensitivities, manifest.precision, console)
    if failed is not None:
        raise failed
    bench = ("bench", run, "--target", "emulator")
    print_next(console, command_line("tinyedge", *(bench if int8 else ("export", run, *plugins))))
