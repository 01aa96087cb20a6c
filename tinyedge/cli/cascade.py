"""The option --cascade of the commands that compile, and its old name."""

import typer

from tinyedge.errors import ConfigError

CASCADE = typer.Option(
    "auto",
    help="Layers in stripes of rows: auto, where it saves RAM for 4 % more time at most; always; never.",
)
PATCH = typer.Option(False, "--patch", hidden=True)


def chosen_cascade(cascade: str, patch: bool) -> str:
    """Return the choice, with `--patch` as the old name of `--cascade always`.

    Raises:
        ConfigError: Both are given and differ.
    """
    if not patch:
        return cascade
    if cascade not in ("auto", "always"):
        raise ConfigError(f"--patch is the old name of --cascade always, and --cascade is {cascade}: leave --patch out")
    typer.echo("--patch is now --cascade always and goes with the next release", err=True)
    return "always"
