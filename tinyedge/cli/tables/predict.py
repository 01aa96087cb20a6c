"""Predictions for the terminal."""

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tinyedge.prediction.predict import PredictReport


def print_predictions(report: PredictReport, console: Console) -> None:
    """Print a row an image: its file, its class and how probable that is, and what else it might be."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("image", overflow="fold", ratio=3)
    table.add_column("class", overflow="fold", ratio=2)
    table.add_column("%", justify="right", no_wrap=True)
    others = any(len(prediction.classes) > 1 for prediction in report.predictions)
    if others:
        table.add_column("then", overflow="fold", ratio=3)
    for prediction in report.predictions:
        first, *rest = prediction.classes
        row = [escape(prediction.file), f"[bold]{escape(first.name)}[/bold]", f"{100 * first.probability:.1f}"]
        if others:
            row.append(", ".join(f"{escape(one.name)} {100 * one.probability:.1f}" for one in rest))
        table.add_row(*row)
    console.print(table)
    for skipped in report.skipped:
        console.print(f"skipped {skipped.file}: {skipped.reason}", highlight=False, markup=False, soft_wrap=True)
    place = report.target if report.board is None else f"{report.target} {report.board}"
    console.print(f"{report.model}: {report.runtime} on {place}", highlight=False, markup=False, soft_wrap=True)
    if report.assumption is not None:
        console.print(report.assumption, highlight=False, markup=False)
