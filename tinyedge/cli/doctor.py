"""`tinyedge doctor`: what is installed, what is missing, and the command that installs it."""

import typer

from tinyedge.cli.output import JSON, print_json, print_next, report_console


def doctor(json: bool = JSON) -> None:
    """Say what is installed, what is missing, and the command that installs it."""
    from rich.markup import escape
    from rich.table import Table

    from tinyedge.doctor import examine

    findings = examine()
    console = report_console(json)
    missing = [finding for finding in findings if not finding.found]
    if json:
        print_json([finding.to_json() for finding in findings])
        print_next(console, *(dict.fromkeys(finding.hint for finding in missing) or ("tinyedge demo",)))
        return
    table = Table("for", "needs", "found")
    for finding in findings:
        found = f"[green]{escape(finding.found)}[/green]" if finding.found else "[red]missing[/red]"
        table.add_row(finding.purpose, finding.name, found)
    console.print(table)
    if missing:
        typer.echo("To install what is missing:")
    for hint in dict.fromkeys(finding.hint for finding in missing):
        purposes = dict.fromkeys(finding.purpose for finding in missing if finding.hint == hint)
        # A line of its own, which a terminal may wrap and a table would cut.
        typer.echo(f"  for {', '.join(purposes)}:\n    {hint}")
    if not missing:
        print_next(console, "tinyedge demo")
