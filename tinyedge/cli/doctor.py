"""`tinyedge doctor`: what is installed, what is missing, and the command that installs it."""

import json as json_module

import typer


def doctor(json: bool = typer.Option(False, "--json", help="Print the findings as JSON.")) -> None:
    """Say what is installed, what is missing, and the command that installs it."""
    from rich.console import Console
    from rich.table import Table

    from tinyedge.doctor import examine

    findings = examine()
    if json:
        typer.echo(json_module.dumps([finding.to_json() for finding in findings], indent=2))
        return
    table = Table("for", "needs", "found", "to install")
    for finding in findings:
        found = f"[green]{finding.found}[/green]" if finding.found else "[red]missing[/red]"
        table.add_row(finding.purpose, finding.name, found, "" if finding.found else finding.remedy)
    Console().print(table)
