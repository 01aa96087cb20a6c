"""`tinyedge export`: a trained run to ONNX and INT8 TFLite."""

from pathlib import Path

import typer


def export(
    run: Path = typer.Argument(..., metavar="RUN", help="A run directory that `tinyedge train` wrote."),
    int8: bool = typer.Option(True, "--int8/--float", help="Write the INT8 model too, or the float models alone."),
    calibration: int = typer.Option(512, help="How many of the run's train images set the activations' ranges."),
    seed: int = typer.Option(0, help="Of the draw of those images."),
    data: str = typer.Option(None, help="Data set in place of the run's own, which may lie elsewhere on this machine."),
    encoder_only: bool = typer.Option(
        False, "--encoder-only", help="Leave the classifier out; the feature is the output."
    ),
    json: bool = typer.Option(False, "--json", help="Print the manifest as JSON."),
) -> None:
    """Fold, convert and quantise a trained encoder with its classifier, and prove that the stages agree."""
    import time

    from rich.console import Console

    from tinyedge.export.export import export_run
    from tinyedge.export.report import print_export
    from tinyedge.training.run import load_run

    console = Console(stderr=json)
    start = time.perf_counter()
    with console.status("exporting (about half a minute)"):
        manifest = export_run(
            load_run(run, data), int8=int8, calibration_images=calibration, seed=seed, classifier=not encoder_only
        )
    if json:
        typer.echo((run / "export" / "export.json").read_text(encoding="utf-8"), nl=False)
        return
    print_export(manifest, run / "export", time.perf_counter() - start, console)
