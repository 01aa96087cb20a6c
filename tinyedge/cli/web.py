"""`tinyedge web`: a page that runs a model, or that checks any."""

from pathlib import Path

import typer

from tinyedge.cli.completions import zoo_models
from tinyedge.cli.output import JSON, print_json, print_next, report_console
from tinyedge.plural import counted
from tinyedge.shell import command_line


def web(
    model: Path = typer.Argument(
        None,
        metavar="RUN|MODEL.tflite|NAME",
        autocompletion=zoo_models,
        help="A run directory, a full-INT8 .tflite file, or a model of the zoo.",
    ),
    out: Path = typer.Option(..., "--out", help="Folder for index.html, the whole page; other files in it stay."),
    check: bool = typer.Option(
        False, "--check", help="In place of a model's page, one that checks the .tflite files that are dropped on it."
    ),
    pyodide: Path = typer.Option(
        None, "--pyodide", help="For --check: the folder of an unpacked release of Pyodide that has NumPy."
    ),
    json: bool = JSON,
) -> None:
    """Write a page that runs the model's C in a browser: camera or image in, classes out, and classes of your own."""
    from rich.console import Console
    from rich.table import Table

    from tinyedge.api.web import web as write_page
    from tinyedge.cli.steps import StepProgress
    from tinyedge.errors import ConfigError

    if check == (model is not None):
        raise ConfigError("web takes one model, or --check and none: give RUN, MODEL.tflite, NAME or --check")
    if check != (pyodide is not None):
        raise ConfigError("--check and --pyodide FOLDER go together: the check is Python, which Pyodide runs in a page")
    if check:
        _write_check_page(out, pyodide, json)
        return

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
    costs.add_row("learns classes", "yes" if report.learns else "no")
    console.print(costs)
    if report.learning_advice:
        said = f"the page learns no classes: {report.learning_advice}"
        console.print(said, highlight=False, soft_wrap=True, markup=False)
    if report.assumption:
        console.print(report.assumption, highlight=False, soft_wrap=True, markup=False)
    print_next(console, following)


def _write_check_page(out: Path, pyodide: Path, json: bool) -> None:
    from tinyedge.api.web_check import web_check

    report = web_check(out, pyodide)
    console = report_console(json)
    if json:
        print_json(report.to_json())
    else:
        beside = counted(report.files, "file")
        said = f"{report.page} and {beside} beside it  {report.bytes:,} bytes, Python {report.python}"
        console.print(said, highlight=False, soft_wrap=True, markup=False)
    print_next(console, command_line("python3", "-m", "http.server", "--directory", out))
