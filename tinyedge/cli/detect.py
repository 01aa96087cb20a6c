"""`tinyedge detect`: how good a run's encoder is as the start of an object detector."""

from pathlib import Path

import typer


def detect(
    run: Path = typer.Argument(..., help="Run directory that `tinyedge train` wrote."),
    voc: Path = typer.Option(..., help="Folder that holds VOCdevkit/VOC2007 and, if it is there, VOC2012."),
    epochs: int = typer.Option(60, help="Passes over the train images."),
    image_size: int = typer.Option(160, help="Pixels that the images are squeezed to."),
    seeds: int = typer.Option(3, help="Detectors to average over."),
    data: str = typer.Option(None, help="Data set in place of the run's own, which may lie elsewhere on this machine."),
    json: bool = typer.Option(False, "--json", help="Print the record as JSON instead of the table."),
) -> None:
    """Train an SSDLite detector from the encoder and from random weights, and measure mAP at IoU 0.5."""
    import statistics

    from rich.console import Console
    from rich.table import Table

    from tinyedge.evaluation.detection import DETECTION_FILE, detect_run
    from tinyedge.training.run import load_run

    console = Console(stderr=json)
    result = detect_run(
        load_run(run, data), voc, epochs=epochs, image_size=image_size, seeds=seeds, announce=console.print
    )
    if json:
        import json as json_module

        typer.echo(json_module.dumps(result.to_json(), indent=2))
        return
    console.print(f"{run / DETECTION_FILE}  {(run / DETECTION_FILE).stat().st_size:,} bytes")
    table = Table("start", "mAP@0.5 (%)", "11-point (%)", "seeds", "test images")
    for start, area, eleven_point in (
        ("this encoder", result.area, result.eleven_point),
        ("random weights", result.random_area, result.random_eleven_point),
    ):
        figures = (f"{100 * statistics.fmean(values):.2f}" for values in (area, eleven_point))
        table.add_row(start, *figures, str(len(area)), f"{result.test_images:,}")
    console.print(table)
    if result.ratio is not None:
        console.print(f"{result.ratio:.2f} times the mAP of random weights")
