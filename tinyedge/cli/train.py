"""`tinyedge train`: unlabelled images to an encoder."""

from pathlib import Path

import typer

_DATA_HELP = 'digits (default), cifar10, another registered set, a folder, or tar shards: "shards/{000..099}.tar".'
_METHOD_HELP = (
    "s0-plus (default), s0, s0-literal, simclr, vicreg, byol, emp-ssl, cass, vicreg-dual, vicreg-gating; with a "
    "teacher best, ca-dssl, seed, simdistill; to compare with, random and supervised."
)


def train(
    out: Path = typer.Option(..., help="Run directory to write, such as runs/digits."),
    method: str | None = typer.Option(None, help=_METHOD_HELP),
    encoder: str | None = typer.Option(
        None, help="tinynext_t (default) or mobilenetv2_035; for teachers resnet18, vit_ti; larger: tinynext_s."
    ),
    teacher: str | None = typer.Option(
        None, help="What a distilling method learns from: a run, dino_vits16=WEIGHTS or timm:MODEL=WEIGHTS."
    ),
    data: str | None = typer.Option(None, help=_DATA_HELP),
    epochs: int | None = typer.Option(None, help="Passes over the train split; by default 100."),
    image_size: int | None = typer.Option(None, help="H = W in pixels; by default the data set's own."),
    strides: str | None = typer.Option(None, help="Strides of the encoder, such as 2,1,2,2,2."),
    act: str | None = typer.Option(None, help="relu (default), gelu (the paper's), silu or hard_swish."),
    batch_size: int | None = typer.Option(None, help="Images a step over all devices."),
    lr: float | None = typer.Option(None, help="Peak learning rate for 256 images a step."),
    seed: int | None = typer.Option(None, help="Of weights, data order and augmentation; by default 0."),
    option: list[str] = typer.Option([], help="Option of the method as KEY=VALUE; may be repeated."),
    config: Path | None = typer.Option(None, help="YAML file with any of these and more; options here win."),
    resume: bool = typer.Option(False, "--resume", help="Go on with the run in --out."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace the run in --out."),
    download: bool = typer.Option(False, "--download", help="Fetch a registered data set that is not there."),
    no_budget: bool = typer.Option(False, "--no-budget", help="Allow 1,000,000 parameters and more."),
    accelerator: str | None = typer.Option(None, help="auto (default), cpu, cuda or mps."),
    devices: str | None = typer.Option(None, help="Devices a node, or auto (default)."),
    num_nodes: int | None = typer.Option(None, help="Machines; by default 1."),
    precision: str | None = typer.Option(None, help="32-true or bf16-mixed; the latter by default on a GPU with it."),
    strategy: str | None = typer.Option(None, help="auto (default) or ddp."),
) -> None:
    """Pretrain an encoder on unlabelled images."""
    from rich.console import Console

    from tinyedge.cli.tables.train import print_run
    from tinyedge.ssl.distributed import is_first_rank
    from tinyedge.training.config import compose_config
    from tinyedge.training.run import CONFIG_FILE
    from tinyedge.training.train import train as train_encoder

    overrides = {
        "method": method,
        "encoder": encoder,
        "teacher": teacher,
        "data": data,
        "epochs": epochs,
        "image_size": image_size,
        "strides": strides.split(",") if strides else None,
        "act": act,
        "batch_size": batch_size,
        "lr_per_256": lr,
        "seed": seed,
        "enforce_budget": False if no_budget else None,
        "accelerator": accelerator,
        "devices": devices,
        "num_nodes": num_nodes,
        "precision": precision,
        "strategy": strategy,
    }
    base = config or (out / CONFIG_FILE if resume and (out / CONFIG_FILE).is_file() else None)
    run = train_encoder(
        compose_config(base, overrides, option), out, resume=resume, overwrite=overwrite, download=download
    )
    if is_first_rank():
        print_run(run, Console())
