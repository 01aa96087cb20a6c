"""`tinyedge web`: a page that runs a model."""

from pathlib import Path

import typer

from tinyedge.cli.completions import zoo_models
from tinyedge.cli.output import JSON, print_json, print_next, report_console
from tinyedge.shell import command_line


def web(
    model: Path = typer.Argument(
        ...,
        metavar="RUN|MODEL.tflite|NAME",
        autocompletion=zoo_models,
        help="A run directory, a full-INT8 .tflite file, or a model of the zoo.",
    ),
    out: Path = typer.Option(..., "--out", help="Folder for index.html, the whole page; other files in it stay."),
    json: bool = JSON,
) -> None:
    """Write a page that runs the model's C in a browser: camera or image in, classes out, and classes of your own."""
    from rich.console import Console
    from rich.table import Table

    from tinyedge.api.web import web as write_page
    from tinyedge.cli.steps import StepProgress

    with StepProgress(Console(stderr=True)) as progress:
        progress.begin("compiling to WebAssembly")
        report = write_page(model, out)
    console = report_console(json)
    # A browser opens the file from the disk as well.
    following = command_line("python3", "-m", "http.server", "--directory", out)
    if json:
        print_json(report.to_json())
        print_next(console, following)
        return
    console.print(f"{report.page}  {report.page_bytes:,} bytes", highlight=False, soft_wrap=True, markup=False)
    costs = Table("what", "value")
    costs.add_row("WebAssembly", f"{report.wasm_bytes:,} bytes")
    costs.add_row("kernels", report.instruction_set)
    costs.add_row("arena", f"{report.arena_bytes:,} bytes")
    costs.add_row("constants", f"{report.constant_bytes:,} bytes")
    costs.add_row("classes", str(len(report.classes) or ("none: an encoder" if report.learns else "none")))
    costs.add_row("learns classes", "yes" if report.learns else "no: it has no int8 embedding")
    console.print(costs)
    if report.assumption:
        console.print(report.assumption, highlight=False, soft_wrap=True, markup=False)
    print_next(console, following)
