"""`tinyedge doctor`: what is installed, what is missing, and the command that installs it."""

import json as json_module

import typer


def doctor(json: bool = typer.Option(False, "--json", help="Print the warnings as JSON.")) -> None:
    """Say what is installed, what is missing, and the command that installs it."""
    from rich.console import Console
    from rich.table import Table

    from tinyedge.doctor import examine

    findings = examine()
    if json:
        typer.echo(json_module.dumps([finding.to_json() for finding in findings], indent=2))
        return
    table = Table("for", "needs", "found")
    for finding in findings:
        found = f"[green]{finding.found}[/green]" if finding.found else "[red]missing[/red]"
        table.add_row(finding.purpose, finding.name, found)
    Console().print(table)
    missing = [finding for finding in findings if not finding.found]
    if missing:
        typer.echo("To install what is missing:")
    for hint in dict.fromkeys(finding.hint for finding in missing):
        purposes = dict.fromkeys(finding.purpose for finding in missing if finding.hint == hint)
        # A line of its own, which a terminal may wrap and a table would cut.
        typer.echo(f"  for {', '.join(purposes)}:\n    {hint}")
