"""`tinyedge build`: the firmware image of a model for a board."""

import json as json_module
import time
from pathlib import Path

import typer

from tinyedge.cli.cascade import CASCADE, PATCH, chosen_cascade


def build(
    model: Path = typer.Argument(..., metavar="RUN|MODEL.tflite", help="A run directory, or a full-INT8 .tflite file."),
    board: str = typer.Option("stm32f405", help="What to build for: a board's name or its .toml file."),
    runtime: str = typer.Option("aot", help="What runs the model: aot, or tflm with TFLM_ROOT set."),
    out: Path = typer.Option(None, help="The folder for the image. [default: RUN/firmware/BOARD or MODEL-BOARD]"),
    mlperf: str = typer.Option("", help="Answer as ic01, vww01, kws01 or ad01 of MLPerf Tiny, with its input format."),
    layers: bool = typer.Option(False, "--layers", help="Let the image answer te layers; its names take flash."),
    enroll: int = typer.Option(
        0, "--enroll", min=0, metavar="CLASSES", help="Let the image learn so many classes from the model's embedding."
    ),
    cascade: str = CASCADE,
    patch: bool = PATCH,
    json: bool = typer.Option(False, "--json", help="Print files, sizes and limits as JSON."),
) -> None:
    """Build ELF, BIN, HEX and map for a board, and print what they take of its memories."""
    from tinyedge.boards.board import load_board
    from tinyedge.firmware.build import build_firmware
    from tinyedge.firmware.image import ImageOptions
    from tinyedge.manifest.model_path import default_firmware_folder, resolve_model

    start = time.perf_counter()
    description = load_board(board)
    folder = default_firmware_folder(model, description.name) if out is None else out
    file = resolve_model(model)
    if enroll:
        from tinyedge.learning.embedding import read_embedding

        read_embedding(file)
    options = ImageOptions(
        runtime, mlperf_id=mlperf, layers=layers, classes=enroll, cascade=chosen_cascade(cascade, patch)
    )
    image = build_firmware(file, description, folder, options)
    seconds = time.perf_counter() - start
    if json:
        typer.echo(json_module.dumps(image.to_json(), indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("memory", "what", "bytes", "limit", "%")
    for row in image.memory_rows():
        table.add_row(row.memory, row.what, f"{row.bytes:,}", f"{row.limit:,}", f"{row.percent:.1f}")
    console.print(table)
    if image.stack.unknown:
        console.print(f"worst-case stack not known: {image.stack.unknown}", highlight=False, soft_wrap=True)
    for path in (image.elf, image.bin, image.hex, image.map):
        console.print(f"{path}  {path.stat().st_size:,} bytes  {seconds:.1f} s", highlight=False, soft_wrap=True)
