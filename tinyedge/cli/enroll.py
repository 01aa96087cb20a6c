"""`tinyedge enroll`: teach a device new classes from a few images each."""

from pathlib import Path

import typer

from tinyedge.boards.board import DEFAULT_BOARD
from tinyedge.cli.completions import BOARDS, zoo_models
from tinyedge.cli.output import JSON, JSON_FILE, print_json, print_next, refuse_json_file, report_console
from tinyedge.shell import command_line


def enroll(
    model: Path = typer.Argument(
        ...,
        metavar="RUN|MODEL.tflite",
        autocompletion=zoo_models,
        help="A run, or a .tflite file beside its export.json.",
    ),
    data: Path = typer.Option(..., metavar="FOLDER", help="Holds a folder of images for each class."),
    shots: int = typer.Option(5, min=1, max=255, help="Images of each class to learn from."),
    queries: int = typer.Option(15, min=1, help="Images of each class to classify after that."),
    classes: str = typer.Option("", metavar="A,B,..", help="Which class folders, in this order.", show_default="all"),
    seed: int = typer.Option(0, min=0, help="Of the draw of the images."),
    port: str = typer.Option(None, help="The board's serial port, as /dev/ttyACM0."),
    board: str = typer.Option(DEFAULT_BOARD, autocompletion=BOARDS, help="A board's name or its .toml file."),
    emulator: bool = typer.Option(False, "--emulator", help="Build for the board and emulate it, in place of --port."),
    save: bool = typer.Option(True, help="Let the device write the classes into its flash."),
    check: bool = typer.Option(True, help="Compute the same on this machine and compare every class and distance."),
    json: bool = JSON,
    json_file: str = JSON_FILE,
) -> None:
    """Teach a device classes and let it classify; the encoder stays as it is.

    Answers that are not this machine's are exit code 3.
    """
    refuse_json_file(json_file, command_line("tinyedge", "enroll", model, "--data", data))
    from tinyedge.boards.board import load_board
    from tinyedge.errors import ConfigError, DataError, GateFailed
    from tinyedge.manifest.model_path import resolve_model

    if emulator == (port is not None):
        raise ConfigError("give the board's serial port with --port, or --emulator")
    target = load_board(board)
    resolve_model(model)
    if not data.is_dir():
        raise DataError(f"{data} is no folder; give one that holds a folder of images for each class")

    from tinyedge.cli.tables.enroll import print_enroll
    from tinyedge.devices.serial import DeviceClient, SerialStream
    from tinyedge.learning.enroll import EnrollOptions, enroll_emulated, open_lesson, teach

    names = tuple(name.strip() for name in classes.split(",")) if classes else ()
    options = EnrollOptions(data, shots, queries, names, seed, save, check)
    console = report_console(json)
    with console.status("") as status:
        lesson = open_lesson(model, options)
        if emulator:
            report = enroll_emulated(lesson, target, options, status.update)
        else:
            client = DeviceClient(SerialStream(port, target.baud))
            try:
                client.handshake()
                report = teach(client, lesson, options, status.update)
            finally:
                client.close()
    if json:
        print_json(report.to_json())
    else:
        print_enroll(report, console)
    if report.differing:
        raise GateFailed(
            f"{report.differing} of {len(report.answers)} answers of {report.board} are not this machine's: report it "
            "with what --json prints"
        )
    build = ("build", model, "--board", board, "--enroll", len(report.classes))
    following = build if emulator else ("bench", model, "--target", "board", "--port", port)
    print_next(console, command_line("tinyedge", *following))
