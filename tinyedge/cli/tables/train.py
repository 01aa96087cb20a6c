"""What a finished run is, in a few lines."""

from typing import Any

from rich.console import Console
from rich.markup import escape

from tinyedge.cli.output import print_files
from tinyedge.encoders.flops import count_macs
from tinyedge.encoders.registry import count_parameters
from tinyedge.evaluation.probe import own_record
from tinyedge.plural import counted
from tinyedge.training.metrics import read_metrics
from tinyedge.training.run import ENCODER_FILE, METRICS_FILE, Run, load_run


def describe_run(run: Run) -> dict[str, Any]:
    """Return a run's encoders, its last metrics and the record of its own classifier, as a JSON object."""
    encoders = []
    for path in (run.path, *run.branch_paths):
        encoder = load_run(path).load_encoder()
        encoders.append(
            {
                "path": str(path / ENCODER_FILE),
                "encoder": encoder.name,
                "image_size": encoder.input_size,
                "strides": list(encoder.strides),
                "parameters": count_parameters(encoder),
                "macs": count_macs(encoder),
            }
        )
    records = read_metrics(run.path / METRICS_FILE)
    return {
        "run": str(run.path),
        "from": run.config.from_run,
        "encoders": encoders,
        "own_classifier": own_record(run) if run.has_own_classifier else None,
        "first_metrics": records[0] if records else None,
        "last_metrics": records[-1] if records else None,
    }


def print_run(run: Run, console: Console) -> None:
    """Print what was asked for: the encoders, what each costs, and how the loss went."""
    report = describe_run(run)
    for encoder in report["encoders"]:
        path, name = escape(encoder["path"]), escape(encoder["encoder"])
        console.print(
            f"{path}  [bold]{name}[/bold], {encoder['parameters']:,} parameters, "
            f"{encoder['macs']:,} multiply-accumulates an image of {encoder['image_size']}x{encoder['image_size']}",
            highlight=False,
            soft_wrap=True,
        )
    own = report["own_classifier"]
    if own is not None:
        console.print(
            f"its own classifier, of {own['labels']:,} labels: [bold]{100 * own['mean']:.2f} %[/bold] of "
            f"{counted(own['test_images'], 'test image')}",
            highlight=False,
            soft_wrap=True,
        )
    first, last = report["first_metrics"], report["last_metrics"]
    if last is None:
        return
    console.print(
        f"{run.config.method}, {counted(last['epoch'], 'epoch')} in {last['elapsed_s']:.0f} s: "
        f"loss {first['loss']:.4g} at step {first['step']}, {last['loss']:.4g} at step {last['step']}; "
        f"effective rank of the features {last['effective_rank']:.0f}",
        highlight=False,
        soft_wrap=True,
    )
    print_files(console, run.path / METRICS_FILE, *sorted((run.path / "plots").glob("*.png")))
