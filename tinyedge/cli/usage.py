"""What is wrong with a command line that the parser refuses, in one sentence."""

import re
import sys
from itertools import pairwise
from typing import Any

from typer.core import TyperCommand

from tinyedge.shell import command_line

# The parser's words for what a value has to be, and ours.
_WORDS = {"a valid integer": "a whole number", "a valid number": "a number", "a valid boolean": "true or false"}


class Command(TyperCommand):
    """A command whose usage line leaves out arguments that `--help` hides: they stood there as `[]`."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return what the usage line shows behind the command's name."""
        return [piece for piece in super().collect_usage_pieces(ctx) if piece != "[]"]


def describe_refusal(error: Any) -> str:
    """Return the sentence for a usage error of the parser.

    Args:
        error: What it raised, with `format_message()`, its command's `ctx`, and for a bad value its `param`.
    """
    said = error.format_message().rstrip(".")
    wanted = re.fullmatch(r"Input should be (.+?)(, .*)?", str(getattr(error, "message", "")))
    options = getattr(getattr(error, "param", None), "opts", None) or [""]
    if wanted is not None and options[0].startswith("-"):
        given = command_line(*_given(options))
        said = f"{given} does not fit: it has to be {_WORDS.get(wanted[1], wanted[1])}"
    path = error.ctx.command_path if error.ctx is not None else "tinyedge"
    return f"{said}; `{path} --help` names what there is"


def _given(options: list[str]) -> tuple[str, ...]:
    """An option as it stands in the command line, with its value."""
    for word, following in pairwise((*sys.argv, "")):
        name, separator, value = word.partition("=")
        if name in options:
            return (name, value if separator else following)
    return (options[0],)
