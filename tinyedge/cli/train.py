"""`tinyedge train`: unlabelled images to an encoder."""

from pathlib import Path
from typing import Any

import typer

from tinyedge.cli.completions import completion
from tinyedge.cli.config_options import FieldOption, whole_numbers, with_fields
from tinyedge.cli.output import JSON, print_json, print_next, report_console
from tinyedge.cli.plugin_option import PLUGIN, load_plugins
from tinyedge.data.registry import dataset_names
from tinyedge.encoders.registry import encoder_names
from tinyedge.errors import ConfigError
from tinyedge.shell import command_line
from tinyedge.ssl.registry import method_names
from tinyedge.training.config import AUGMENT_PRESETS, TrainConfig
from tinyedge.training.loggers import LOGGERS
from tinyedge.training.run import CONFIG_FILE, Run

TEACHER = "a run, patches:ATOMS, dino_vits16=WEIGHTS, timm:MODEL=WEIGHTS, or efficientnet_lite0 (saw ImageNet labels)"
PLACE = {
    "accelerator": FieldOption("auto, cpu, cuda or mps."),
    "devices": FieldOption("How many, or auto: every GPU, or one CPU."),
    "precision": FieldOption("32-true or bf16-mixed; by default the latter on a GPU or CPU that has it."),
    "compile": FieldOption("Let torch.compile make the encoder's kernels, for a faster step on a GPU."),
    "checkpoint_every_s": FieldOption(),
}
LOGGER = typer.Option(
    [],
    "--logger",
    help="Log there as well: tensorboard, wandb or mlflow; may be repeated. By default tensorboard if it is there.",
    autocompletion=completion(lambda: tuple(LOGGERS)),
)
_PANELS = {
    "Images": {
        "data": FieldOption(
            'digits, cifar10, cifar100, stl10, tiny-imagenet, a folder, or tar shards: "shards/{000..099}.tar".',
            names=dataset_names,
        ),
        "image_size": FieldOption("H = W in pixels; by default the data set's own."),
        "channels": FieldOption("3 for RGB, or 1 for greyscale, which colour images are turned into."),
        "augment": FieldOption(f"{', '.join(AUGMENT_PRESETS)}; by default the method's own."),
        "view_sizes": FieldOption("Pixels of the views over the training, such as 16,24,32: faster; not for s0-plus."),
    },
    "Encoder": {
        "encoder": FieldOption(
            "tinynext_t, tinynext_s or mobilenetv2_035; to train others, resnet18, vit_ti or patches:ATOMS.",
            names=encoder_names,
        ),
        "feature_stages": FieldOption("Stages whose pooled maps are the feature, such as 1,2,3,4."),
        "strides": FieldOption("Strides of the encoder, such as 2,1,2,2,2; by default what suits the image size."),
        "act": FieldOption("relu, gelu (the paper's), silu or hard_swish."),
        "from_run": FieldOption(
            "Run, or model of the zoo, whose encoder this one begins with; what is not given of architecture, strides "
            "and image size is that run's.",
            flag="--from",
        ),
        "enforce_budget": FieldOption("Refuse 1,000,000 parameters and more.", flag="--budget"),
    },
    "Method": {
        "method": FieldOption(
            "s0-plus, s0, s0-literal, simclr, vicreg, byol, emp-ssl, cass, vicreg-dual, vicreg-gating; with a teacher "
            "best, ca-dssl, seed, simdistill; with --from finetune; to compare with, random and supervised.",
            names=method_names,
        ),
        "teacher": FieldOption(f"What best, ca-dssl, seed and simdistill learn from: {TEACHER}."),
    },
    "Optimisation": {
        "epochs": FieldOption(),
        "batch_size": FieldOption(),
        "lr_per_256": FieldOption(
            "Peak learning rate for 256 images a step, scaled with the batch; by default the method's own.", flag="--lr"
        ),
        "weight_decay": FieldOption(),
        "grad_clip": FieldOption(),
        "warmup_epochs": FieldOption(),
        "ema_decay": FieldOption("Decay of averaged weights, saved in place of the last step's; 0.999 is usual."),
        "seed": FieldOption(),
    },
    "Where it runs": PLACE,
}


@with_fields(TrainConfig, _PANELS)
def train(
    out: Path = typer.Option(None, help="Run directory to write, such as runs/digits.", show_default="required"),
    config: Path | None = typer.Option(None, help="YAML file with any of these and more; options here win."),
    resume: bool = typer.Option(False, "--resume", help="Go on with the run in --out; with --epochs, to more of them."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace the run in --out."),
    download: bool = typer.Option(False, "--download", help="Fetch a registered data set that is not there."),
    option: list[str] = typer.Option(
        [], rich_help_panel="Method", help="Option of the method as KEY=VALUE; may be repeated. See --help-method."
    ),
    help_method: bool = typer.Option(
        False, "--help-method", rich_help_panel="Method", help="Show the options of --method and exit."
    ),
    logger: list[str] = LOGGER,
    plugin: list[str] = PLUGIN,
    json: bool = JSON,
    # Of a release ago: torchrun and Slurm say both.
    strategy: str = typer.Option("", hidden=True),
    num_nodes: str = typer.Option("", hidden=True),
    **settings: Any,
) -> None:
    """Pretrain an encoder on unlabelled images."""
    from tinyedge.training.config import compose_config
    from tinyedge.training.warm_start import with_architecture

    plugins = load_plugins(plugin)
    if help_method:
        from tinyedge.cli.tables.method import print_method

        print_method(settings["method"] or compose_config(config, {}, []).method, report_console(json))
        return
    if out is None:
        raise ConfigError("--out is missing; give the run directory to write, such as --out runs/first")
    for key, example in {"strides": "2,1,2,2,2", "feature_stages": "1,2,3,4", "view_sizes": "16,24,32"}.items():
        if settings[key] is not None:
            settings[key] = whole_numbers(f"--{key.replace('_', '-')}", settings[key], example)
    base = config or (out / CONFIG_FILE if resume and (out / CONFIG_FILE).is_file() else None)
    chosen = compose_config(base, settings, option)
    if base is None:
        chosen = with_architecture(chosen, {key for key, value in settings.items() if value is not None})

    from rich.console import Console

    from tinyedge.api.train import train as train_encoder
    from tinyedge.cli.training_progress import TrainingProgress

    with TrainingProgress(Console(stderr=True)) as progress:
        run = train_encoder(
            out,
            chosen,
            resume=resume,
            overwrite=overwrite,
            download=download,
            progress=progress,
            loggers=logger or None,
        )

    print_trained(run, plugins, json)


def print_trained(run: Run, plugins: tuple[str, ...], json: bool) -> None:
    """Print what came of a training, on the first of its processes, and the command that may come next."""
    from tinyedge.cli.tables.train import describe_run, print_run
    from tinyedge.ssl.distributed import is_first_rank

    if not is_first_rank():
        return
    console = report_console(json)
    if json:
        print_json(describe_run(run))
    else:
        print_run(run, console)
    export = ("tinyedge", "export", run.path)
    if run.has_own_classifier:
        print_next(console, command_line(*export, "--int8", *plugins))
        return
    encoder_only = command_line(*export, "--encoder-only", *plugins)
    probes = (command_line("tinyedge", "probe", path, *plugins) for path in (run.path, *run.branch_paths))
    print_next(console, *probes, f"{encoder_only}  # without labels")
