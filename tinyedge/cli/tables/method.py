"""The options of a pretraining method, as a table."""

from dataclasses import fields
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from tinyedge.documentation import attribute_docs
from tinyedge.ssl.registry import method_entry, method_options


def print_method(name: str, console: Console) -> None:
    """Print a row an option of a method: its default there, and what it means.

    Raises:
        ConfigError: An unknown method.
    """
    entry, defaults = method_entry(name), method_options(name)
    teacher = "; needs --teacher" if entry.needs_teacher else "; takes --teacher" if entry.takes_teacher else ""
    start = "; needs --from" if entry.needs_start else ""
    console.print(
        f"[bold]{name}[/bold]: augmentation {entry.augment}, --lr {entry.lr_per_256:g}{teacher}{start}", highlight=False
    )
    if not defaults:
        console.print("It has no options of its own.")
        return
    docs = attribute_docs(entry.options_type)
    table = Table("--option", "default", "meaning", box=box.SIMPLE_HEAD)
    for field in fields(entry.options_type):
        table.add_row(
            field.name, _text(defaults[field.name]), docs.get(field.name, "").replace("`", "").replace("None", "null")
        )
    console.print(table)
    first = next(iter(defaults))
    console.print(f"such as --method {name} --option {first}={_text(defaults[first])}", highlight=False)


def _text(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
