"""`tinyedge predict`: the classes of images."""

from pathlib import Path

import typer

from tinyedge.boards.board import DEFAULT_BOARD
from tinyedge.cli.completions import BOARDS, RUNTIMES, TARGETS, zoo_models
from tinyedge.cli.output import JSON, given, print_json, print_next, report_console
from tinyedge.shell import command_line


def predict(
    model: str = typer.Argument(
        ...,
        metavar="RUN|MODEL.tflite|NAME",
        autocompletion=zoo_models,
        help="A run directory, a full-INT8 .tflite file, or a model of the zoo.",
    ),
    images: list[Path] = typer.Argument(..., metavar="IMAGE|FOLDER...", help="Image files, or folders of them."),
    target: str = typer.Option("host", autocompletion=TARGETS, help="host, emulator or board."),
    runtime: str = typer.Option(
        None,
        autocompletion=RUNTIMES,
        help="aot (our C), litert, tflm or onnx.",
        show_default="aot on the host and the emulator",
    ),
    board: str = typer.Option(
        None, autocompletion=BOARDS, help="A board's name or its .toml file.", show_default=DEFAULT_BOARD
    ),
    port: str = typer.Option("auto", help="The serial port of --target board; auto finds it by its USB ids."),
    top: int = typer.Option(3, min=1, help="How many classes to name for an image."),
    json: bool = JSON,
) -> None:
    """Name the classes of images, as the model on the board sees them."""
    from tinyedge.api.predict import predict as predict_classes
    from tinyedge.cli.tables.predict import print_predictions

    console = report_console(json)
    with console.status("") as status:
        report = predict_classes(
            model, images, target=target, runtime=runtime, board=board, port=port, top=top, announce=status.update
        )
    if json:
        print_json(report.to_json())
    else:
        print_predictions(report, console)
    readable = next((image for image in images if image.exists()), images[0])
    following = {
        "host": ("predict", model, readable, "--target", "emulator", *given(board=board)),
        "emulator": ("build", model, *given(board=board or report.board)),
        "board": ("bench", model, "--target", "board"),
    }
    print_next(console, command_line("tinyedge", *following[report.target]))
