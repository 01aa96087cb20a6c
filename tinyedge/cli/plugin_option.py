"""`--plugin`: users' own encoders and methods on the command line."""

from collections.abc import Sequence

import typer

from tinyedge.plugins import load_plugin

PLUGIN = typer.Option([], "--plugin", metavar="FILE.py|MODULE", help="Your own encoders and methods; may be repeated.")


def load_plugins(sources: Sequence[str]) -> tuple[str, ...]:
    """Import what --plugin names; return the arguments with which the next command names it too."""
    for source in sources:
        load_plugin(source)
    return tuple(argument for source in sources for argument in ("--plugin", source))
