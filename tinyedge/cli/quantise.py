"""`tinyedge quantise`: a float model of anybody's to INT8."""

from pathlib import Path

import typer

from tinyedge.cli.output import JSON, print_files, print_json, print_next, report_console
from tinyedge.shell import command_line


def quantise(
    model: Path = typer.Argument(
        ..., metavar="RUN|MODEL", help="A float .tflite or .onnx file, or a run directory with an export."
    ),
    images: Path = typer.Option(
        None,
        metavar="X.npy",
        help="Calibration images as the model takes them: (n, H, W, C) float32, normalised.",
        show_default="of a run its train images",
    ),
    out: Path = typer.Option(
        None, help="The .tflite file to write.", show_default="NAME_PRECISION.tflite in the current folder"
    ),
    precision: str = typer.Option("int8", help="int8; 16x8: int16 activations wherever TFLite Micro has them."),
    calibration: int = typer.Option(512, min=16, help="How many images set the activations' ranges, at most."),
    seed: int = typer.Option(0, min=0, help="Of the draw of those images."),
    data: str = typer.Option(None, help="Data set in place of a run's own, which may lie elsewhere on this machine."),
    json: bool = JSON,
) -> None:
    """Quantise a float model by calibration images; of a run, `tinyedge export` does it and proves the result."""
    from rich.console import Console

    from tinyedge.api.quantise import quantise as quantise_model
    from tinyedge.cli.steps import StepProgress

    with StepProgress(Console(stderr=True)) as progress:
        quantised = quantise_model(
            model,
            images,
            out=out,
            precision=precision,
            calibration=calibration,
            seed=seed,
            data=data,
            announce=progress.begin,
        )
    console = report_console(json)
    if json:
        print_json(quantised.to_json())
    else:
        console.print(
            f"{quantised.precision}: {quantised.sqnr_db:.1f} dB of the float output's signal over the noise, "
            f"ranges by {quantised.estimator} of {quantised.calibration_images} images",
            highlight=False,
        )
        print_files(console, quantised.path)
    print_next(console, command_line("tinyedge", "check", quantised.path))
