"""`tinyedge demo`: the whole way on the embedded data set, in minutes, on a laptop."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tinyedge.cli.output import JSON, print_json, print_next, report_console

if TYPE_CHECKING:
    from rich.table import Table

    from tinyedge.demo import DemoResult


def demo(
    out: Path = typer.Option(Path("runs/demo"), help="Where the runs go; an earlier demo there is replaced."),
    json: bool = JSON,
) -> None:
    """Go the whole way on the embedded data set: train, probe, export, build, bench."""
    from tinyedge.destination import check_folder
    from tinyedge.installation import require

    require("the demo", "export", "bench")
    check_folder(out, "give another folder to --out")

    from rich.console import Console

    from tinyedge.cli.training_progress import TrainingProgress
    from tinyedge.demo import run_demo

    console = report_console(json)
    start = time.monotonic()

    def announce(command: str) -> None:
        console.print(f"$ {command}", style="bold cyan", highlight=False, markup=False)

    with TrainingProgress(Console(stderr=True)) as progress:
        result = run_demo(out, announce, progress)
    if json:
        print_json(result.to_json())
    else:
        console.print(_table(result))
    console.print(f"{time.monotonic() - start:.0f} s; everything is in {out}", highlight=False, markup=False)
    print_next(console, "tinyedge train --data YOUR_FOLDER --out runs/mine")


def _table(result: "DemoResult") -> "Table":
    from rich import box
    from rich.table import Table

    table = Table("unlabelled digits to an STM32F405", "", box=box.SIMPLE_HEAD)
    for what, figure in (
        ("parameters", f"{result.parameters:,}"),
        ("MACs an image", f"{result.macs:,}"),
        ("linear probe, random encoder", f"{100 * result.random_accuracy:.1f} %"),
        ("linear probe, pretrained encoder", f"{100 * result.float_accuracy:.1f} %"),
        ("INT8 classifier", f"{100 * result.int8_accuracy:.1f} %"),
        ("flash, firmware included", f"{result.flash_bytes:,} of {result.flash_limit_bytes:,} bytes"),
        ("RAM, arena included", f"{result.ram_bytes:,} of {result.ram_limit_bytes:,} bytes"),
        ("instructions an inference", f"{result.instructions:,}"),
        ("bit_exact: TFLite Micro = C on the host = emulated board", str(result.bit_exact).lower()),
    ):
        table.add_row(what, figure)
    return table
