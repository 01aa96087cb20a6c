"""`tinyedge check`: what is to be known of a model, or of an encoder before it is trained, ahead of any board."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tinyedge.boards.board import DEFAULT_BOARD
from tinyedge.cli.completions import BOARDS, zoo_models
from tinyedge.cli.config_options import whole_numbers
from tinyedge.cli.output import JSON, given, print_json, print_next, report_console
from tinyedge.cli.plugin_option import PLUGIN, load_plugins
from tinyedge.shell import command_line

if TYPE_CHECKING:
    from tinyedge.checks.encoder import EncoderReport


def check(
    model: Path = typer.Argument(
        None, metavar="RUN|MODEL.tflite", autocompletion=zoo_models, help="Any .tflite file, or a run directory."
    ),
    board: str = typer.Option(
        None,
        autocompletion=BOARDS,
        help="What it has to fit: a board's name or its .toml file.",
        show_default="any board",
    ),
    encoder: str = typer.Option(None, help="An encoder by name, before any training, in place of a model."),
    input: int = typer.Option(None, "--input", help="H = W of the encoder's images, in pixels.", show_default="32"),
    channels: int = typer.Option(None, help="Channels of its images: 3 for RGB (default), 1 for greyscale."),
    strides: str = typer.Option(None, help="Strides of the encoder, such as 2,1,2,2,2."),
    act: str = typer.Option(None, help="The encoder's activation: relu (default; deploys) or gelu (the paper's)."),
    classes: int = typer.Option(None, min=1, help="Classes of a classifier behind the encoder; by default none."),
    plugin: list[str] = PLUGIN,
    json: bool = JSON,
) -> None:
    """Check operators, budgets and layers of a model before anybody flashes it; exit code 3 if it cannot run."""
    from tinyedge.api.check import check as check_subject
    from tinyedge.checks.check import CheckReport
    from tinyedge.cli.tables.check import print_check, print_encoder
    from tinyedge.errors import ConfigError, GateFailed

    plugins = load_plugins(plugin)
    if encoder is None and any(option is not None for option in (input, channels, strides, act, classes)):
        raise ConfigError(
            "--input, --channels, --strides, --act and --classes describe an encoder: give --encoder NAME with them"
        )
    if (model is None) == (encoder is None):
        raise ConfigError("check takes one model or one encoder: give RUN, MODEL.tflite or --encoder NAME")
    if encoder is None:
        report: CheckReport | EncoderReport = check_subject(model, board=board)
        following = _build_command(model, board, report.deployments)
    else:
        report = check_subject(
            encoder=encoder,
            board=board,
            input_size=input or 32,
            channels=3 if channels is None else channels,
            strides=whole_numbers("--strides", strides, "2,1,2,2,2") if strides else None,
            act=act or "relu",
            classes=classes,
        )
        asked = given(
            encoder=encoder, out=f"runs/{encoder}", image_size=input, channels=channels, strides=strides, act=act
        )
        following = command_line("tinyedge", "train", *asked, *plugins)
    console = report_console(json)
    if json:
        print_json(report.to_json())
    elif isinstance(report, CheckReport):
        print_check(report, console)
    else:
        print_encoder(report, console)
    failure = report.failure()
    if failure is not None:
        raise GateFailed(failure)
    print_next(console, following)


def _build_command(model: Path, board: str | None, deployments: tuple[tuple[str, str], ...]) -> str:
    """Return the command that builds a model for the board that was asked about, or else for one that takes it."""
    if not deployments:
        return ""  # It is not printed.
    # The firmware of tinyedge compile rather than TFLite Micro's, and the default of build rather than another board.
    name, runtime = min(deployments, key=lambda pair: (pair[1] != "aot", pair[0] != DEFAULT_BOARD))
    wanted = board or name
    options = given(board=None if wanted == DEFAULT_BOARD else wanted, runtime=None if runtime == "aot" else runtime)
    return command_line("tinyedge", "build", model, *options)
