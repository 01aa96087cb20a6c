"""`tinyedge detect`: how good a run's encoder is as the start of an object detector."""

from pathlib import Path

import typer

from tinyedge.cli.completions import zoo_models
from tinyedge.cli.output import JSON, given, print_files, print_json, print_next, report_console
from tinyedge.cli.plugin_option import PLUGIN, load_plugins
from tinyedge.shell import command_line


def detect(
    run: Path = typer.Argument(..., autocompletion=zoo_models, help="Run directory that `tinyedge train` wrote."),
    voc: Path = typer.Option(..., help="Folder that holds VOCdevkit/VOC2007 and, if it is there, VOC2012."),
    epochs: int = typer.Option(60, help="Passes over the train images."),
    image_size: int = typer.Option(160, help="Pixels that the images are squeezed to."),
    seeds: int = typer.Option(3, help="Detectors to average over."),
    data: str = typer.Option(None, help="Data set in place of the run's own, which may lie elsewhere on this machine."),
    plugin: list[str] = PLUGIN,
    json: bool = JSON,
) -> None:
    """Train an SSDLite detector from the encoder and from random weights, and measure mAP at IoU 0.5."""
    import statistics

    from rich.table import Table

    from tinyedge.data.voc_layout import check_voc
    from tinyedge.evaluation.protocols import check_detection
    from tinyedge.training.run import claimed_run, load_run

    plugins = load_plugins(plugin)
    trained = load_run(run, data)
    trained.check_trained()
    trained.check_dataset()
    check_voc(voc)
    check_detection(epochs, image_size, seeds)
    console = report_console(json)
    with claimed_run(trained, run) as own:
        from tinyedge.evaluation.detection import DETECTION_FILE, detect_run

        result = detect_run(own, voc, epochs=epochs, image_size=image_size, seeds=seeds, announce=console.print)
    following = command_line("tinyedge", "probe", run, *given(data=data), *plugins)
    if json:
        print_json(result.to_json())
        print_next(console, following)
        return
    print_files(console, run / DETECTION_FILE)
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
    print_next(console, following)
