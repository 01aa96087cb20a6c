"""`tinyedge check`: what is to be known of a model, or of an encoder before it is trained, ahead of any board."""

import json as json_module
from pathlib import Path

import typer


def check(
    model: Path = typer.Argument(None, metavar="RUN|MODEL.tflite", help="Any .tflite file, or a run directory."),
    board: str = typer.Option(None, help="What it has to fit. [default: any board]"),
    encoder: str = typer.Option(None, help="An encoder by name, before any training, in place of a model."),
    input: int = typer.Option(32, "--input", help="H = W of the encoder's images, in pixels."),
    strides: str = typer.Option(None, help="Strides of the encoder, such as 2,1,2,2,2."),
    act: str = typer.Option("relu", help="The encoder's activation: relu (deploys) or gelu (the paper's)."),
    classes: int = typer.Option(
        None, min=1, help="Classes of a classifier behind the encoder. [default: no classifier]"
    ),
    json: bool = typer.Option(False, "--json", help="Print the report as JSON."),
) -> None:
    """Check operators, versions, budgets and layers of a model; exit code 3 if it cannot be deployed."""
    from tinyedge.check.check import check_model
    from tinyedge.check.report import print_check
    from tinyedge.errors import GateFailed
    from tinyedge.targets.board import board_names, load_board
    from tinyedge.targets.model_path import resolve_model

    boards = [load_board(name) for name in ([board] if board else board_names())]
    report = check_model(resolve_model(model), boards)
    if json:
        typer.echo(json_module.dumps(report.to_json(), indent=2))
    else:
        print_check(report)
    failure = report.failure()
    if failure is not None:
        raise GateFailed(failure)
