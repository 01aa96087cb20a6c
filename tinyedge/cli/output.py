"""Words that every command says alike; with --json, standard output is kept for the JSON alone."""

import json as json_module
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from tinyedge.errors import ConfigError

JSON = typer.Option(False, "--json", help="Print the report as JSON on standard output, all else on standard error.")
JSON_FILE = typer.Argument(None, hidden=True, metavar="")  # --json took a file once


def report_console(json: bool) -> Console:
    """Return where a report goes: standard output, which with --json is kept for the JSON alone."""
    return Console(stderr=json)


def print_json(value: Any) -> None:
    """Print a JSON object on standard output."""
    typer.echo(json_module.dumps(value, indent=2))


def refuse_json_file(file: str | None, command: str) -> None:
    """Refuse the file that `--json FILE` once took, which reads as a second argument now; `-` was standard output.

    Raises:
        ConfigError: There is one.
    """
    if file not in (None, "-"):
        raise ConfigError(f"{file} is one argument too many; to write the report there, `{command} --json > {file}`")


def given(**options: object) -> tuple[str, ...]:
    """Return the options that have a value as arguments of the next command, under their names of the command line."""
    named = ((name.replace("_", "-"), value) for name, value in options.items() if value is not None)
    return tuple(word for name, value in named for word in (f"--{name}", str(value)))


def print_files(console: Console, *paths: Path) -> None:
    """Print a line a file that is there: its path and its size."""
    for path in paths:
        if path.is_file():
            console.print(f"{path}  {path.stat().st_size:,} bytes", highlight=False, soft_wrap=True, markup=False)


def print_next(console: Console, *commands: str) -> None:
    """Print the commands that may come next, each on a line that can be copied."""
    for command in commands:
        console.print(Text.assemble("next: ", (command, "bold")), highlight=False, soft_wrap=True)
