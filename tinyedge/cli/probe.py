"""`tinyedge probe`: how good a run's encoder is."""

from pathlib import Path

import typer


def probe(
    run: Path = typer.Argument(..., help="Run directory that `tinyedge train` wrote."),
    labels: float = typer.Option(1.0, help="Share of the train labels, class by class: 0.2 is 20 %."),
    protocol: str = typer.Option("linear", help="linear (L-BFGS) or knn (k=20 cosine and k=1 Euclidean)."),
    seeds: int = typer.Option(3, help="Label subsets to average over."),
    json: bool = typer.Option(False, "--json", help="Print the record as JSON instead of the table."),
) -> None:
    """Measure top-1 accuracy on the test split with the encoder frozen."""
    import time

    from rich.console import Console
    from rich.table import Table

    from tinyedge.evaluation.probe import CLASSIFIER_FILE, PROBE_FILE, probe_run
    from tinyedge.training.run import load_run

    start = time.monotonic()
    result = probe_run(load_run(run), label_fraction=labels, protocol=protocol, seeds=seeds)
    if json:
        import json as json_module

        typer.echo(json_module.dumps(result.to_json(), indent=2))
        return
    console = Console()
    written = [PROBE_FILE] + ([CLASSIFIER_FILE] if result.protocol == "linear" else [])
    for name in written:
        console.print(f"{run / name}  {(run / name).stat().st_size:,} bytes  {time.monotonic() - start:.1f} s")
    spread = "" if result.sd is None else f" ± {100 * result.sd:.2f}"
    table = Table("protocol", "labels", "top-1 (%)", "seeds", "test images")
    table.add_row(
        result.protocol,
        f"{result.labels:,} ({result.label_fraction:.0%})",
        f"[bold]{100 * result.mean:.2f}{spread}[/bold]",
        str(len(result.accuracies)),
        f"{result.test_images:,}",
    )
    if result.nearest_mean is not None:
        table.add_row("k=1, Euclidean", "", f"{100 * result.nearest_mean:.2f}", "", "")
    console.print(table)
    console.print(f"{result.protocol}: {result.solver}", highlight=False)
