"""`--plugin`: users' own encoders and methods on the command line."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import typer

from tinyedge.plugins import load_plugin


def with_plugins(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command with the option --plugin, whose modules are imported before it runs."""

    @functools.wraps(command)
    def run(*args: Any, plugin: list[str], **options: Any) -> None:
        for source in plugin:
            load_plugin(source)
        command(*args, **options)

    option = inspect.Parameter(
        "plugin",
        inspect.Parameter.KEYWORD_ONLY,
        default=typer.Option(
            [], "--plugin", metavar="FILE.py|MODULE", help="Your own encoders and methods; may be repeated."
        ),
        annotation=list[str],
    )
    signature = inspect.signature(command)
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), option])  # type: ignore[attr-defined]
    run.__annotations__ = {**command.__annotations__, "plugin": list[str]}
    return run
