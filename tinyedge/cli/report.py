"""`tinyedge report`: one page about a run, an export or a model, or a comparison of several."""

from pathlib import Path

import typer

from tinyedge.cli.completions import zoo_models
from tinyedge.cli.output import JSON, print_files, print_json, print_next, report_console


def report(
    sources: list[Path] = typer.Argument(
        ...,
        metavar="RUN|MODEL.tflite|DIR...",
        autocompletion=zoo_models,
        help="A run, a .tflite file or the folder of an export; several are compared side by side.",
    ),
    out: Path = typer.Option(
        None, metavar="FILE.html", help="Where the page goes.", show_default="NAME-report.html or comparison.html"
    ),
    bench: list[Path] = typer.Option(
        [], metavar="FILE.json", help="What `tinyedge bench --json` printed of the model; repeatable."
    ),
    json: bool = JSON,
) -> None:
    """Write all that is known of a model into one HTML file, made for reading; it needs no network."""
    from rich.console import Console

    from tinyedge.api.report import report as write_report
    from tinyedge.cli.steps import StepProgress

    with StepProgress(Console(stderr=True)) as progress:
        written = write_report(*sources, out=out, bench=bench, announce=progress.begin)
    console = report_console(json)
    if json:
        print_json(written.to_json())
    else:
        print_files(console, written.path)
    print_next(console, *dict.fromkeys(command for commands in written.missing.values() for command in commands))
