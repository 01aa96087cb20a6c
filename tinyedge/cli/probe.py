"""`tinyedge probe`: how good a run's encoder is."""

from pathlib import Path

import typer

from tinyedge.cli.completions import zoo_models
from tinyedge.cli.config_options import whole_numbers
from tinyedge.cli.output import JSON, given, print_files, print_json, print_next, report_console
from tinyedge.cli.plugin_option import PLUGIN, load_plugins
from tinyedge.shell import command_line


def probe(
    run: Path = typer.Argument(..., autocompletion=zoo_models, help="Run directory that `tinyedge train` wrote."),
    labels: float = typer.Option(
        1.0, help="Share of the train labels, class by class: 0.2 is 20 %.", rich_help_panel="Protocol"
    ),
    protocol: str = typer.Option(
        "linear",
        help="linear (Newton-CG), linear-sgd, knn (k=20 cosine and k=1 Euclidean), finetune, "
        "or own: the classifier that `tinyedge finetune` trained.",
        rich_help_panel="Protocol",
    ),
    seeds: int = typer.Option(3, help="Label subsets to average over; all labels are one.", rich_help_panel="Protocol"),
    epochs: int = typer.Option(
        None,
        help="Passes over the labelled images, for linear-sgd and finetune; by default 100.",
        rich_help_panel="Protocol",
    ),
    stages: str = typer.Option(
        None,
        help="Stages whose pooled maps are the features, side by side, such as 1,2,3,4, and those of what a linear "
        "probe leaves for the export; by default the run's own.",
        rich_help_panel="Protocol",
    ),
    hold_out: int = typer.Option(
        0,
        help="Measure on this many train images, never labelled, instead of the test split: to choose options.",
        rich_help_panel="Protocol",
    ),
    data: str = typer.Option(None, help="Data set in place of the run's own, which may lie elsewhere on this machine."),
    plots: bool = typer.Option(True, help="Draw the embedding and the confusion matrix of a linear probe."),
    plugin: list[str] = PLUGIN,
    json: bool = JSON,
) -> None:
    """Measure top-1 accuracy on the test split, with the encoder frozen unless it is fine-tuned."""
    from rich.console import Console
    from rich.table import Table

    from tinyedge.api.probe import probe as probe_run
    from tinyedge.cli.steps import StepProgress

    plugins = load_plugins(plugin)
    chosen = None if stages is None else whole_numbers("--stages", stages, "1,2,3,4")
    console = report_console(json)
    with StepProgress(Console(stderr=True)) as progress:
        result = probe_run(
            run,
            labels=labels,
            protocol=protocol,
            seeds=seeds,
            epochs=epochs,
            stages=chosen,
            hold_out=hold_out,
            data=data,
            plots=plots,
            announce=progress.begin,
        )

    from tinyedge.evaluation.probe_records import PROBE_FILE
    from tinyedge.evaluation.protocols import OWN
    from tinyedge.training.run import CLASSIFIER_FILE, CONFUSION_PLOT, EMBEDDING_PLOT, load_run

    own = load_run(run).has_own_classifier

    if json:
        print_json(result.to_json())
    else:
        spread = "" if result.sd is None else f" ± {100 * result.sd:.2f}"
        table = Table("protocol", "labels", "top-1 (%)", "seeds", f"{result.split} images")
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
        several = f"; stages {', '.join(map(str, result.stages))}" if len(result.stages) > 1 else ""
        console.print(f"{result.protocol}: {result.solver}{several}", highlight=False)
        print_files(console, run / PROBE_FILE)
        if result.exportable and not own:
            print_files(console, run / CLASSIFIER_FILE)
        if plots and protocol in ("linear", OWN):
            print_files(console, run / EMBEDDING_PLOT, run / CONFUSION_PLOT)
    if own and result.exportable:
        console.print("this classifier is not kept: the run has its own, which was trained with the encoder")
    elif result.protocol.startswith("linear") and not result.exportable:
        console.print("no classifier is kept: only stages that end with 4, probed on the test split, can be exported")
    following = ("export", run) if result.exportable or own else ("probe", run, *given(data=data))
    print_next(console, command_line("tinyedge", *following, *plugins))
