"""Options of a command that are the fields of a configuration class: its types, its defaults, its words."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from types import NoneType
from typing import Any, get_args, get_type_hints

import typer

from tinyedge.cli.completions import completion
from tinyedge.documentation import attribute_docs
from tinyedge.errors import ConfigError
from tinyedge.shell import command_line


@dataclass(frozen=True)
class FieldOption:
    """How a field is an option, where that does not follow from the field.

    Attributes:
        help: What `--help` says; None is the first sentence of the field's documentation.
        flag: Its name; None is the field's, with hyphens.
        names: Offers completions.
        told: Whether the help ends with the field's default.
    """

    help: str | None = None
    flag: str | None = None
    names: Callable[[], tuple[str, ...]] | None = None
    told: bool = True


def with_fields(
    kind: type, panels: Mapping[str, Mapping[str, FieldOption]]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that gives a command an option for each field named, in place of its `**settings`.

    An option that is not given is None, whatever the field's default is: a file may have set it.

    Args:
        kind: The dataclass.
        panels: For each group of `--help`, the fields in it.
    """
    hints, docs = get_type_hints(kind), attribute_docs(kind)
    defaults = {field.name: field.default for field in fields(kind)}
    added = []
    for panel, options in panels.items():
        for name, option in options.items():
            annotation = _annotation(hints[name])
            flag = option.flag or f"--{name.replace('_', '-')}"
            if annotation is bool:
                flag = f"{flag}/--no-{flag[2:]}"
            declared = typer.Option(
                None,
                flag,
                help=(option.help or _first_sentence(docs[name])) + (_told(defaults[name]) if option.told else ""),
                rich_help_panel=panel,
                show_default=False,
                autocompletion=None if option.names is None else completion(option.names),
            )
            added.append(
                inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=declared, annotation=annotation | None)
            )

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command)
        own = [part for part in signature.parameters.values() if part.kind is not inspect.Parameter.VAR_KEYWORD]
        command.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
        command.__annotations__ |= {part.name: part.annotation for part in added}
        return command

    return decorate


def _first_sentence(text: str) -> str:
    return text.partition(". ")[0].partition("; ")[0].rstrip(".") + "."


def _told(default: object) -> str:
    """What is said of a default; typer would put one that is no value of the option in parentheses."""
    if default is None or (isinstance(default, tuple) and not default):
        return ""
    value = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
    return f" Default: {value.lower() if isinstance(default, bool) else value}."


def _annotation(hint: Any) -> Any:
    """What a command line can hold of a type: numbers, texts and flags; lists are texts with commas."""
    kinds = [kind for kind in (get_args(hint) or (hint,)) if kind is not NoneType]
    return kinds[0] if len(kinds) == 1 and kinds[0] in (bool, int, float) else str


def whole_numbers(option: str, text: str, usual: str) -> tuple[int, ...]:
    """Return the numbers of an option that takes several, between commas.

    Args:
        option: Its name, such as "--strides".
        text: What was given.
        usual: A right one, to show.

    Raises:
        ConfigError: One is no whole number.
    """
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError:
        raise ConfigError(f"{command_line(option, text)} is no list of whole numbers: write {option} {usual}") from None
