"""`tinyedge quantise`: anybody's float network to INT8."""

import sys
from dataclasses import asdict
from pathlib import Path

import typer

from tinyedge.cli.completions import zoo_models
from tinyedge.cli.output import JSON, print_files, print_json, print_next, report_console
from tinyedge.shell import command_line

_SAMPLES, _GATES = "Calibration samples", "Gates"


def quantise(
    model: Path = typer.Argument(
        ...,
        metavar="MODEL|RUN",
        autocompletion=zoo_models,
        help="A float .onnx or .tflite file, or a run directory or model of the zoo.",
    ),
    calibration: str = typer.Option(
        None,
        metavar="FOLDER|X.npy|X.npz",
        help="What the network usually sees, unlabelled: images, or arrays (n, ...); of several inputs one array each.",
        show_default="of a run its train images",
        rich_help_panel=_SAMPLES,
    ),
    mean: str = typer.Option(
        None,
        metavar="M,M,M|imagenet|pixels",
        help="Of each channel, for pixels scaled to 0 to 1; pixels: the network takes 0 to 255.",
        show_default="images: 0; arrays are taken as they are",
        rich_help_panel=_SAMPLES,
    ),
    std: str = typer.Option(None, metavar="S,S,S", help="Of each channel, likewise.", rich_help_panel=_SAMPLES),
    layout: str = typer.Option(
        None,
        metavar="nchw|nhwc|...",
        help="Order of the arrays' axes.",
        show_default="what their shape fits",
        rich_help_panel=_SAMPLES,
    ),
    calibration_count: int = typer.Option(
        512, help="How many samples set the activations' ranges, at most.", rich_help_panel=_SAMPLES
    ),
    seed: int = typer.Option(0, min=0, help="Of their draw.", rich_help_panel=_SAMPLES),
    images: Path = typer.Option(None, hidden=True),  # The name of --calibration until 0.2.0.
    data: str = typer.Option(
        None,
        help="Data set in place of a run's own, which may lie elsewhere on this machine.",
        rich_help_panel=_SAMPLES,
    ),
    input_shape: list[str] = typer.Option(
        [],
        metavar="NAME:1,3,224,224",
        help="Shape of an input whose dimensions the ONNX file leaves open; may be repeated.",
    ),
    out: Path = typer.Option(
        None, help="The .tflite file to write.", show_default="NAME_PRECISION.tflite in the current folder"
    ),
    precision: str = typer.Option(
        "int8", help="int8; mixed: 16x8 (int16 activations) where it is worth its cost; 16x8 wherever it exists."
    ),
    qat: float = typer.Option(
        0.0,
        "--qat",
        metavar="EPOCHS",
        help="Finish by training the INT8 codes, without labels, towards the float output.",
    ),
    classes: Path = typer.Option(
        None, metavar="FILE", help="Names of the classes, a line each, in the output's order."
    ),
    layers: bool = typer.Option(False, "--layers", help="Compare layer by layer."),
    min_cosine: float = typer.Option(
        0.99, help="The least cosine between the float and the quantised outputs.", rich_help_panel=_GATES
    ),
    max_float_difference: float = typer.Option(
        1e-3,
        help="The most that source and float graph may differ, relative to the largest output.",
        rich_help_panel=_GATES,
    ),
    json: bool = JSON,
) -> None:
    """Quantise anybody's float network by calibration samples, and prove that the file still computes it.

    A gate that does not hold is exit code 3; the file and its manifest are there all the same.
    """
    from rich.console import Console

    from tinyedge.api.quantise import quantise as quantise_model
    from tinyedge.cli.quantise_arguments import calibration_source, input_shapes, read_classes
    from tinyedge.cli.steps import StepProgress
    from tinyedge.cli.tables.quantise import print_quantised
    from tinyedge.errors import GateFailed
    from tinyedge.manifest.quantised import quantised_file, quantised_manifest_path, read_quantised_manifest

    console = report_console(json)
    failed = None
    target = out or quantised_file(model.resolve().stem, precision)
    with StepProgress(Console(stderr=True)) as progress:
        try:
            quantise_model(
                model,
                calibration_source(calibration, images),
                out=out,
                mean=mean,
                std=std,
                layout=layout,
                input_shapes=input_shapes(input_shape),
                calibration_count=calibration_count,
                precision=precision,
                qat=qat,
                layers=layers,
                classes=read_classes(classes),
                min_cosine=min_cosine,
                max_float_difference=max_float_difference,
                seed=seed,
                data=data,
                command=command_line("tinyedge", *sys.argv[1:]),
                announce=progress.begin,
                detail=progress.detail,
            )
        except GateFailed as error:
            failed = error
    manifest = read_quantised_manifest(target)
    assert manifest is not None
    if json:
        print_json({"path": str(target), **asdict(manifest)})
    else:
        print_quantised(manifest, console)
        print_files(console, target, quantised_manifest_path(target))
    if failed is not None:
        raise failed
    print_next(console, *(command_line("tinyedge", command, target) for command in ("check", "bench")))
