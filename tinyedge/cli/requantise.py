"""`tinyedge requantise`: a .tflite file of uint8 over int8."""

from pathlib import Path

import typer

from tinyedge.cli.output import JSON, print_files, print_json, print_next, report_console
from tinyedge.shell import command_line


def requantise(
    model: Path = typer.Argument(..., help="A .tflite file that is quantised to uint8, as before 2020."),
    out: Path = typer.Option(
        None, help="The .tflite file to write.", show_default="NAME_int8.tflite in the current folder"
    ),
    json: bool = JSON,
) -> None:
    """Write an old uint8 .tflite file over int8; needs no samples."""
    from rich.console import Console

    from tinyedge.api.requantise import requantise as requantise_model
    from tinyedge.cli.steps import StepProgress
    from tinyedge.cli.tables.requantise import print_requantised

    with StepProgress(Console(stderr=True)) as progress:
        made = requantise_model(model, out=out, announce=progress.begin)
    console = report_console(json)
    if json:
        print_json(made.to_json())
    else:
        print_requantised(made, console)
        print_files(console, made.path)
    print_next(console, *(command_line("tinyedge", command, made.path) for command in ("check", "bench")))
