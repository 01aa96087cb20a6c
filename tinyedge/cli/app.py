"""The `tinyedge` program: its commands, and what it says when something is wrong."""

import importlib
import sys

import typer

from tinyedge.errors import TinyEdgeError
from tinyedge.installation import missing_packages_told
from tinyedge.version import __version__

app = typer.Typer(
    name="tinyedge",
    help="Unlabelled images in, a proven INT8 vision encoder on a Cortex-M out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# In the order of the work. Each module `tinyedge.cli.NAME` holds the function NAME.
_COMMANDS: tuple[str, ...] = (
    "train",
    "probe",
    "detect",
    "export",
    "quantise",
    "check",
    "compile",
    "build",
    "flash",
    "bench",
    "predict",
    "enroll",
    "doctor",
    "demo",
)


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"tinyedge {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    pass


for _command in _COMMANDS:
    app.command(name=_command)(getattr(importlib.import_module(f"tinyedge.cli.{_command}"), _command))


def main() -> None:
    """Run the command line; a `TinyEdgeError` becomes one sentence on standard error and its exit code.

    So does a missing package of an extra. Whatever else could not be imported is a defect, and stays a traceback.
    """
    try:
        with missing_packages_told():
            app()
    except TinyEdgeError as error:
        typer.secho(f"{error.title}: {error}", fg=typer.colors.RED, err=True)
        sys.exit(error.exit_code)
