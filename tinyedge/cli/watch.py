"""`tinyedge watch`: how far a training is, until it ends."""

import time
from pathlib import Path

import typer

from tinyedge.cli.output import JSON, print_json, print_next, report_console
from tinyedge.shell import command_line


def watch(
    run: Path = typer.Argument(..., metavar="RUN", help="A run that trains, here or in another process."),
    every: float = typer.Option(2.0, "--every", min=0.1, help="Seconds from one look at its files to the next."),
    once: bool = typer.Option(False, "--once", help="Show how far it is now, and end."),
    json: bool = JSON,
) -> None:
    """Show loss, speed, time left and the last probe of a training, until it ends or stops; off a terminal once."""
    from tinyedge.api.watch import watch as read
    from tinyedge.cli.tables.watch import status_view
    from tinyedge.training.run import load_run, resume_command

    over = ("ended", "stopped")
    status = read(run)
    console = report_console(json)
    if json:
        print_json(status.to_json())
        return
    if once or not console.is_terminal or status.state in over:
        console.print(status_view(status))
    else:
        from rich.live import Live

        with Live(status_view(status), console=console, auto_refresh=False) as live:
            while status.state not in over:
                time.sleep(every)
                status = read(run)
                live.update(status_view(status), refresh=True)
    if status.state == "ended":
        print_next(console, command_line("tinyedge", "report", run))
    elif status.state == "stopped":
        print_next(console, resume_command(run, load_run(run).config))
