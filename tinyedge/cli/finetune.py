"""`tinyedge finetune`: a trained encoder and labelled images to a classifier, trained end to end."""

from pathlib import Path
from typing import Any

import typer

from tinyedge.cli.completions import zoo_models
from tinyedge.cli.config_options import FieldOption, whole_numbers, with_fields
from tinyedge.cli.output import JSON
from tinyedge.cli.plugin_option import PLUGIN, load_plugins
from tinyedge.cli.train import LOGGER, PLACE, TEACHER, print_trained
from tinyedge.data.registry import dataset_names
from tinyedge.ssl.method_options.finetune import FinetuneOptions
from tinyedge.training.config import AUGMENT_PRESETS, TrainConfig

_PANELS = {
    "Images": {
        "data": FieldOption(
            "Labelled images: a folder, or digits, cifar10, cifar100, stl10, tiny-imagenet; by default the run's own.",
            told=False,
            names=dataset_names,
        ),
        "image_size": FieldOption("H = W in pixels; by default the run's."),
        "augment": FieldOption(f"{', '.join(AUGMENT_PRESETS)}; by default supervised."),
        "view_sizes": FieldOption("Pixels of the views over the training, such as 16,24,32: faster."),
    },
    "Optimisation": {
        "epochs": FieldOption("Passes over the labelled images; by default 30.", told=False),
        "batch_size": FieldOption(),
        "lr_per_256": FieldOption(
            "Peak learning rate for 256 images a step, scaled with the batch; by default 0.002.", flag="--lr"
        ),
        "weight_decay": FieldOption(),
        "grad_clip": FieldOption(),
        "warmup_epochs": FieldOption(),
        "ema_decay": FieldOption("Decay of averaged weights, saved in place of the last step's; 0.999 is usual."),
        "seed": FieldOption(),
    },
    "Teacher": {"teacher": FieldOption(f"Learn from it too: {TEACHER}.")},
    "Where it runs": PLACE,
}
_OF_METHOD = {
    "Labels": {
        "label_fraction": FieldOption("Share of each class whose labels are known: 0.2 is 20 %."),
        "label_subset_seed": FieldOption(),
        "label_smoothing": FieldOption(),
        "cutmix_probability": FieldOption(flag="--cutmix"),
    },
    "Teacher": {
        "teacher_weight": FieldOption(),
        "teacher_temperature": FieldOption(),
    },
}


@with_fields(FinetuneOptions, _OF_METHOD)
@with_fields(TrainConfig, _PANELS)
def finetune(
    run: Path = typer.Argument(
        ..., autocompletion=zoo_models, help="Run directory that `tinyedge train` wrote, or a model of the zoo."
    ),
    out: Path = typer.Option(None, help="Run directory to write; by default RUN-finetuned."),
    resume: bool = typer.Option(False, "--resume", help="Go on with the run in --out; with --epochs, to more of them."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace the run in --out."),
    download: bool = typer.Option(False, "--download", help="Fetch a registered data set that is not there."),
    logger: list[str] = LOGGER,
    plugin: list[str] = PLUGIN,
    json: bool = JSON,
    **settings: Any,
) -> None:
    """Train a run's encoder and a classifier end to end on labelled images; writes a run of its own."""
    from rich.console import Console

    from tinyedge.api.finetune import finetune as finetune_run
    from tinyedge.api.finetune import finetuned_path
    from tinyedge.cli.training_progress import TrainingProgress

    plugins = load_plugins(plugin)
    out = finetuned_path(run) if out is None else out
    if settings["view_sizes"] is not None:
        settings["view_sizes"] = whole_numbers("--view-sizes", settings["view_sizes"], "16,24,32")
    given = {key: value for key, value in settings.items() if value is not None}
    with TrainingProgress(Console(stderr=True)) as progress:
        tuned = finetune_run(
            run,
            out,
            resume=resume,
            overwrite=overwrite,
            download=download,
            progress=progress,
            loggers=logger or None,
            **given,
        )
    print_trained(tuned, plugins, json)
