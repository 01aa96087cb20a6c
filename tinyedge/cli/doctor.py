"""`tinyedge doctor`: what is installed, what is missing, and the command that installs it."""

import json as json_module

import typer


def doctor(json: bool = typer.Option(False, "--json", help="Print the warnings as JSON.")) -> None:
    """Say what is installed, what is missing, and the command that installs it."""
    from rich.console import Console
    from rich.table import Table

    from tinyedge.doctor import examine

    warnings = examine()
    if json:
        typer.echo(json_module.dumps([warning.to_json() for warning in warnings], indent=2))
        return
    table = Table("for", "needs", "found", "to install")
    for warning in warnings:
        found = f"[green]{warning.found}[/green]" if warning.found else "[red]missing[/red]"
        table.add_row(warning.purpose, warning.name, found, "" if warning.found else warning.hint)
    Console().print(table)
