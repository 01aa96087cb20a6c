"""`tinyedge pack`: a run as a folder for the Hugging Face hub."""

from pathlib import Path

import typer

from tinyedge.cli.completions import zoo_models
from tinyedge.cli.output import JSON, print_files, print_json, print_next, report_console
from tinyedge.shell import command_line


def pack(
    run: Path = typer.Argument(
        ..., autocompletion=zoo_models, help="Run directory that `tinyedge train` wrote, or a model of the zoo."
    ),
    out: Path = typer.Option(..., "--out", help="Folder to write, new or of an earlier pack; its name is the model's."),
    licence: str | None = typer.Option(None, "--licence", "--license", help="As the hub calls it: apache-2.0, mit."),
    json: bool = JSON,
) -> None:
    """Write a folder ready for the Hugging Face hub, with weights, model and card; nothing is uploaded."""
    from tinyedge.api.pack import pack as write

    packed = write(run, out, licence=licence)
    console = report_console(json)
    if json:
        print_json(packed.to_json())
    else:
        print_files(console, *packed.files)
        if packed.model is None:
            console.print("no quantised model: the run has no export", highlight=False, soft_wrap=True)
    print_next(console, command_line("hf", "upload", f"OWNER/{packed.name}", out))
