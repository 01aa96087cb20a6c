"""`tinyedge build`: the firmware image of a model for a board."""

from pathlib import Path

import typer

from tinyedge.boards.board import DEFAULT_BOARD
from tinyedge.cli.cascade import CASCADE, PATCH, chosen_cascade
from tinyedge.cli.completions import BOARDS, FIRMWARE_RUNTIMES, zoo_models
from tinyedge.cli.optimize import OPTIMIZE
from tinyedge.cli.output import JSON, print_files, print_json, print_next, report_console
from tinyedge.cli.placement import KERNELS_IN, WEIGHTS_IN
from tinyedge.shell import command_line


def build(
    model: Path = typer.Argument(
        ..., metavar="RUN|MODEL.tflite", autocompletion=zoo_models, help="A run directory, or a full-INT8 .tflite file."
    ),
    board: str = typer.Option(
        DEFAULT_BOARD, autocompletion=BOARDS, help="What to build for: a board's name or its .toml file."
    ),
    runtime: str = typer.Option(
        "aot", autocompletion=FIRMWARE_RUNTIMES, help="What runs the model: aot, or tflm with TFLM_ROOT set."
    ),
    out: Path = typer.Option(
        None, help="The folder for the image.", show_default="RUN/firmware/BOARD, or MODEL-BOARD in the current folder"
    ),
    mlperf: str = typer.Option("", help="Answer as ic01, vww01, kws01 or ad01 of MLPerf Tiny, with its input format."),
    layers: bool = typer.Option(False, "--layers", help="Let the image answer te layers; its names take flash."),
    enroll: int = typer.Option(
        0, "--enroll", min=0, metavar="CLASSES", help="Let the image learn so many classes from the model's embedding."
    ),
    cascade: str = CASCADE,
    optimize: str = OPTIMIZE,
    kernels_in: str = KERNELS_IN,
    weights_in: str = WEIGHTS_IN,
    patch: bool = PATCH,
    json: bool = JSON,
) -> None:
    """Build ELF, BIN, HEX and map for a board, and print what they take of its memories."""
    from rich.console import Console
    from rich.table import Table

    from tinyedge.api.build import build as build_image
    from tinyedge.cli.steps import StepProgress

    chosen = chosen_cascade(cascade, patch)
    with StepProgress(Console(stderr=True)) as progress:
        progress.begin("building")
        image = build_image(
            model,
            board=board,
            runtime=runtime,
            out=out,
            mlperf=mlperf,
            layers=layers,
            enroll=enroll,
            cascade=chosen,
            optimize=optimize,
            kernels_in=kernels_in,
            weights_in=weights_in,
        )
    console = report_console(json)
    if json:
        print_json(image.to_json())
    else:
        table = Table("memory", "what", "bytes", "limit", "%")
        for row in image.memory_rows():
            table.add_row(row.memory, row.what, f"{row.bytes:,}", f"{row.limit:,}", f"{row.percent:.1f}")
        console.print(table)
        if image.stack.unknown:
            console.print(
                f"worst-case stack not known: {image.stack.unknown}", highlight=False, markup=False, soft_wrap=True
            )
        print_files(console, image.elf, image.bin, image.hex, image.map)
    print_next(console, command_line("tinyedge", "flash", image.elf, "--board", board))
