"""Every pretraining method on CIFAR-10 (JPEG) and Tiny-ImageNet-32, beside the published figures.

    python benchmarks/ssl_table.py --cifar10 FOLDER --tiny-imagenet FOLDER --plan cpu
    python benchmarks/ssl_table.py --cifar10 FOLDER --plan gpu --only best simclr --minutes 9

FOLDER holds train/CLASS/*.jpg and test/CLASS/*.jpg (or val/). Stop it at any time: the next call goes on where this one
was, down to the training step. Rows that need a teacher wait for the row that gives it. Each step is one command of
`tinyedge`, printed before it runs.

Writes benchmarks/results/ssl_table.json, of which `result_tables.py` makes the table of docs/results.md. `--hold-out
5000` is for choosing hyper-parameters: it probes images held out of the train split instead of the test images, prints,
and writes nothing.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyedge.atomic import write_json, write_text
from tinyedge.encoders.flops import count_macs
from tinyedge.training.metrics import read_metrics
from tinyedge.training.run import BRANCHES, ENCODER_FILE, METRICS_FILE, load_run
from tinyedge.training.teacher_source import PACKAGED

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "ssl_table.json"
FRACTIONS = (0.01, 0.1, 0.2, 1.0)
SEEDS = 3
_IMAGE_SIZE = 32
_DEVICE_FILE = "device.txt"
DATASETS = {"cifar10": "CIFAR-10 (JPEG)", "tiny-imagenet": "Tiny-ImageNet-32"}


@dataclass(frozen=True)
class Row:
    """One line of a plan.

    Attributes:
        name: What the line is called; with the plan, the folder of its run.
        method: Of `tinyedge train`.
        epochs: Passes over what the method trains on.
        encoder: Of `tinyedge train`.
        strides: Of `tinyedge train`; None is the encoder's default.
        options: `KEY=VALUE` of `--option`.
        teacher: Name of the row whose run is distilled, or what `tinyedge train --teacher` takes beside runs.
        arguments: Further arguments of `tinyedge train`.
        stages: Stages whose features are probed as well, in a line of their own; empty for the encoder's feature alone.
        start: Name of the row whose encoder this one begins with.
    """

    name: str
    method: str
    epochs: int
    encoder: str = "tinynext_t"
    strides: str | None = None
    options: tuple[str, ...] = ()
    teacher: str | None = None
    arguments: tuple[str, ...] = ()
    stages: tuple[int, ...] = ()
    start: str | None = None


def _cpu(
    name: str, epochs: int, *options: str, batch_size: int = 64, arguments: tuple[str, ...] = (), **settings: Any
) -> Row:
    arguments = ("--batch-size", str(batch_size), *arguments)
    settings = {"method": name, "strides": "2,1,2,2,2", **settings}
    return Row(name, epochs=epochs, options=options, arguments=arguments, **settings)


def _mobilenetv2(method: str, epochs: int, *options: str, **settings: Any) -> Row:
    """Return a row of MobileNetV2-0.35 with the optimiser of TinySSL; SimCLR has two views of an image, others one."""
    settings = {"encoder": "mobilenetv2_035", "strides": None, "method": method, **settings}
    arguments = (*_GROWING, "--weight-decay", "0.02", "--grad-clip", "3")
    return _cpu(f"mobilenetv2 {method}", epochs, *options, batch_size=256, arguments=arguments, **settings)


def _gpu(name: str, epochs: int, *options: str, method: str | None = None, **settings: Any) -> Row:
    arguments = ("--precision", "bf16-mixed", "--batch-size", "512")
    return Row(name, method or name, epochs, options=options, arguments=arguments, **settings)


_STAGES = (1, 2, 3, 4)
_PATCHES = ("cached_views=2", "distilled_views=2", "multi_scale_weight=0", "similarity_weight=1")
_GROWING = ("--view-sizes", "16,24,32")

# The CPU plan is minutes a row on one core, and hours for s0-plus and for best, which distils it. In few epochs small
# batches learn more: s0-plus had 47.0, 48.2 and 49.7 % of 5,000 held-out images right after 2 epochs at 256, 128 and 64
# images a step. s0 with pixels as targets had 41.4 % where stage 4 keeps the grid that it corrupts and 39.4 % where
# stage 4 halves it, after 2 epochs at 64. The short plan is for Tiny-ImageNet, of twice the images. The GPU plan is
# hundreds of epochs a row.
PLANS = {
    "cpu": (
        _cpu("random", 1),
        _cpu("patches", 1, method="random", encoder="patches:800", strides=None),
        _cpu("s0-plus", 20, batch_size=256),
        _cpu("best", 18, "cached_views=2", "distilled_views=2", teacher="s0-plus"),
        _cpu(
            "best of patches",
            24,
            *_PATCHES,
            method="best",
            batch_size=256,
            teacher="patches:4096",
            arguments=_GROWING,
            stages=_STAGES,
        ),
        _cpu(
            "best of patches continued",
            22,
            *_PATCHES,
            "queue_size=4096",
            method="best",
            batch_size=256,
            teacher="patches:4096",
            arguments=(*_GROWING, "--feature-stages", "1,2,3,4"),
            start="best of patches",
        ),
        _cpu(
            "best of efficientnet_lite0",
            40,
            *(
                "cached_views=2",
                "distilled_views=2",
                "similarity_weight=1",
                "target_coordinates=256",
                "queue_size=4096",
            ),
            method="best",
            batch_size=256,
            teacher="efficientnet_lite0",
            arguments=(*_GROWING, "--feature-stages", "1,2,3,4"),
        ),
        _cpu("s0-literal", 6),
        _cpu("s0", 10, strides="2,1,2,2,1", stages=_STAGES),
        _cpu("simclr", 2),
        _cpu("seed", 2, "cached_views=2", teacher="s0-plus"),
        _cpu("vicreg", 2),
        _cpu("byol", 4),
        _cpu("cass", 2, "views=2"),
        _cpu("ca-dssl", 2, "cached_views=2", teacher="best"),
        _cpu("simdistill", 2, "cached_views=2", teacher="s0-plus"),
        _cpu("supervised", 10, "label_fraction=0.2"),
        _cpu("vicreg-gating", 4, "gate_warmup=0.5"),
        _cpu("emp-ssl", 1, "patches=4"),
        _cpu("vicreg-dual", 4, "gate_warmup=0.5", "pruned_share=0.25"),
        _mobilenetv2("supervised", 30, "label_fraction=0.2"),
        _mobilenetv2("simclr", 3),
        _mobilenetv2("seed", 6, "cached_views=2", teacher="efficientnet_lite0"),
        _mobilenetv2("ca-dssl", 6, "cached_views=2", teacher="efficientnet_lite0"),
        _cpu(
            "mobilenetv2 simdistill",
            4,
            "cached_views=2",
            method="simdistill",
            encoder="mobilenetv2_035",
            strides=None,
            teacher="best",
        ),
    ),
    "cpu-short": (
        _cpu("random", 1, stages=_STAGES),
        _cpu("patches", 1, method="random", encoder="patches:800", strides=None),
        _cpu("s0", 2, strides="2,1,2,2,1", stages=_STAGES),
        _cpu("s0-plus", 3, batch_size=256, stages=_STAGES),
        _cpu(
            "best of patches",
            6,
            *_PATCHES,
            method="best",
            batch_size=256,
            teacher="patches:4096",
            arguments=_GROWING,
            stages=_STAGES,
        ),
        _cpu("supervised", 30, "label_fraction=0.2", batch_size=256, arguments=_GROWING),
    ),
    "gpu": (
        _gpu("random", 1),
        _gpu("teacher", 200, method="vicreg", encoder="resnet18"),
        _gpu("best", 200, teacher="teacher"),
        _gpu("s0-plus", 150),
        _gpu("s0", 150),
        _gpu("s0-literal", 150),
        _gpu("simclr", 150),
        _gpu("vicreg", 150),
        _gpu("vicreg-gating", 150),
        _gpu("vicreg-dual", 150),
        _gpu("byol", 150),
        _gpu("emp-ssl", 20),
        _gpu("cass", 100),
        _gpu("seed", 150, teacher="teacher"),
        _gpu("simdistill", 150, teacher="teacher"),
        _gpu("ca-dssl", 150, teacher="teacher"),
        _gpu("supervised", 300, "label_fraction=0.2"),
        _gpu("mobilenetv2 simclr", 150, method="simclr", encoder="mobilenetv2_035"),
        _gpu("mobilenetv2 seed", 150, method="seed", encoder="mobilenetv2_035", teacher="teacher"),
        _gpu("mobilenetv2 ca-dssl", 150, method="ca-dssl", encoder="mobilenetv2_035", teacher="teacher"),
    ),
}

CAPTION = f"top-1 in % of the test images, linear probe on the frozen encoder, mean ± sd over {SEEDS} label subsets"
HEAD = (
    "| method | 1 % labels | 10 % | **20 %** | 100 % | kNN 100 % "
    "| encoder (strides), MACs, epochs, seconds, device | published, and how its protocol differs |",
    "|---|---|---|---|---|---|---|---|",
)

# Row name, data set -> linear probe in %, and how the protocol differs from ours.
PUBLISHED: dict[tuple[str, str], tuple[str, str]] = {
    ("s0", "cifar10"): ("60.01", "20 % labels, TinyNeXt-T, epochs unknown, original PNG images"),
    ("s0", "tiny-imagenet"): ("11.23", "20 % labels, TinyNeXt-T, epochs unknown, 64 px"),
    ("simclr", "cifar10"): ("90.74", "ResNet-18, 1,000 epochs, all labels, online (solo-learn)"),
    ("vicreg", "cifar10"): ("92.07", "ResNet-18, 1,000 epochs, all labels, online (solo-learn)"),
    ("byol", "cifar10"): ("92.58", "ResNet-18, 1,000 epochs, all labels, online (solo-learn)"),
    ("emp-ssl", "cifar10"): ("91.50", "ResNet-18, all labels, 4,096-d features averaged over ~128 patches an image"),
    ("emp-ssl", "tiny-imagenet"): ("51.50", "ResNet-18, all labels, averaged over ~128 patches an image"),
    ("vicreg-dual", "cifar10"): ("90.20", "dense branch, ResNet-18, 500 epochs, all labels, t_d 0.5"),
    ("vicreg-dual/gated", "cifar10"): ("90.40", "gated per image, ResNet-18, 49.02 % fewer FLOPs, t_d 0.5"),
    ("vicreg-gating", "cifar10"): ("90.70", "gated per image, ResNet-18, 51.62 % fewer FLOPs, t_d 0.5"),
}


class Study:
    """The runs of one plan on one data set.

    Args:
        plan: Key of `PLANS`.
        dataset: Key of `DATASETS`.
        data: The folder of its images.
        out: Where the runs are kept.
        accelerator: Of `tinyedge train`.
        hold_out: Images of the train split to probe instead of the test split; 0 probes the test split.
    """

    def __init__(self, plan: str, dataset: str, data: Path, out: Path, accelerator: str, hold_out: int):
        self.plan, self.dataset, self.data, self.out = plan, dataset, data, out
        self.accelerator, self.hold_out = accelerator, hold_out

    def run_path(self, name: str) -> Path:
        """Return where the run of a row is, or of a branch `ROW/BRANCH`."""
        row, _, branch = name.partition("/")
        path = self.out / self.plan / self.dataset / row.replace(" ", "_")
        return path / BRANCHES / branch if branch else path

    def trained(self, name: str) -> bool:
        """Return whether the run of a row has ended."""
        return (self.run_path(name) / ENCODER_FILE).is_file()

    def train(self, row: Row) -> None:
        """Train a row, or go on training it; returns at once where that is done."""
        if self.trained(row.name):
            return
        path = self.run_path(row.name)
        arguments: list[object] = ["train", "--method", row.method, "--encoder", row.encoder, "--data", self.data]
        arguments += ["--image-size", _IMAGE_SIZE, "--epochs", row.epochs, "--out", path]
        arguments += ["--accelerator", self.accelerator, *row.arguments]
        if row.strides:
            arguments += ["--strides", row.strides]
        for option in row.options:
            arguments += ["--option", option]
        if row.teacher:
            arguments += ["--teacher", self.run_path(row.teacher) if row.teacher in _row_names() else row.teacher]
        if row.start:
            arguments += ["--from", self.run_path(row.start)]
        tinyedge(*arguments, *(["--resume"] if (path / "config.yaml").is_file() else []))
        write_text(path / _DEVICE_FILE, device_name(self.accelerator))

    def probes(self, name: str, stages: tuple[int, ...]) -> list[dict[str, Any]]:
        """Probe a feature of a run at each label fraction where that is not done, and return the records."""
        path = self.run_path(name)
        key = {"split": "held-out" if self.hold_out else "test", "stages": list(stages)}
        done = {(record["protocol"], record["label_fraction"]) for record in _records(path / "probe.json", key)}
        # The linear probe with all labels comes last: its classifier is what an export deploys.
        wanted = [("knn", 0.2), ("knn", 1.0), *(("linear", fraction) for fraction in FRACTIONS)]
        seeds = SEEDS
        held: list[object] = []
        if self.hold_out:
            wanted, held = [("knn", 0.2), ("linear", 0.2)], ["--hold-out", self.hold_out]
        config = load_run(path).config
        if config.method == "supervised":  # Its encoder has seen these labels and no others.
            wanted, seeds = [("linear", config.method_options["label_fraction"])], 1
        for protocol, fraction in wanted:
            if (protocol, fraction) not in done:
                plots = "--plots" if fraction == 1.0 else "--no-plots"
                settings = ["--data", self.data, "--labels", fraction, "--protocol", protocol, "--seeds", seeds]
                tinyedge("probe", path, *settings, "--stages", ",".join(map(str, stages)), plots, *held)
        return _records(path / "probe.json", key)

    def cells(self, row: Row) -> Iterator[dict[str, Any]]:
        """Yield what is known of a trained row: a cell for its encoder, for each further branch and for other stages.

        Nothing where the run has no log, such as a published encoder that was put there to be distilled.
        """
        path = self.run_path(row.name)
        log = read_metrics(path / METRICS_FILE)
        if not log and row.method != "random":
            print(f"{path} has no log, so what is published of {row.name} stays")
            return
        names = [row.name, *(f"{row.name}/{branch.name}" for branch in sorted((path / BRANCHES).glob("*")))]
        features = [(name, name, load_run(self.run_path(name)).config.feature_stages) for name in names]
        if row.stages:
            features.append((f"{row.name}, stages {row.stages[0]} to {row.stages[-1]}", row.name, row.stages))
        for line, name, stages in features:
            run = load_run(self.run_path(name))
            config = run.config
            yield {
                "row": line,
                "plan": self.plan,
                "data": DATASETS[self.dataset],
                "dataset": self.dataset,
                "method": config.method,
                "encoder": config.encoder,
                "strides": config.strides,
                "hidden": config.hidden,
                "macs": count_macs(run.load_encoder()),
                "epochs": config.epochs if log else 0,
                "batch_size": config.batch_size,
                "lr_per_256": config.lr_per_256,
                "precision": config.precision,
                "augment": config.augment,
                "seed": config.seed,
                "options": dict(config.method_options),
                "teacher": row.teacher,
                "start": row.start,
                "stages": stages,
                "seconds": round(log[-1]["elapsed_s"]) if log else 0,
                "core_seconds": round(log[-1]["cpu_s"]) if log and "cpu_s" in log[-1] else None,
                "device": (path / _DEVICE_FILE).read_text() if (path / _DEVICE_FILE).is_file() else "device unknown",
                "probes": [
                    {
                        key: record.get(key)
                        for key in ("protocol", "label_fraction", "labels", "mean", "sd", "accuracies")
                    }
                    for record in self.probes(name, stages)
                ],
            }


def tinyedge(*arguments: object) -> None:
    """Run one `tinyedge` command."""
    command = [str(argument) for argument in arguments]
    print("$ tinyedge " + " ".join(command), flush=True)
    subprocess.run([sys.executable, "-m", "tinyedge", *command], check=True)


def device_name(accelerator: str) -> str:
    """Say what the runs are trained on."""
    if accelerator == "cpu":
        cores = int(os.environ.get("OMP_NUM_THREADS", len(os.sched_getaffinity(0))))
        return f"{cores} CPU core{'s' if cores > 1 else ''}"
    import torch

    return torch.cuda.get_device_name()


def accuracy(cell: dict[str, Any], protocol: str, fraction: float) -> str:
    """Return a cell's figure in per cent, with its deviation over the label subsets; empty if nobody measured it."""
    for probe in cell["probes"]:
        if (probe["protocol"], probe["label_fraction"]) == (protocol, fraction):
            spread = f" ± {100 * probe['sd']:.1f}" if probe["sd"] is not None else ""
            return f"{100 * probe['mean']:.1f}{spread}"
    return ""


def markdown(cells: list[dict[str, Any]]) -> str:
    """Return a table a data set of what was measured; rows without a cell and data sets without a row are left out."""
    names = list(dict.fromkeys(row.name for plan in PLANS.values() for row in plan))
    lines = []
    for dataset, title in DATASETS.items():
        measured = [cell for cell in cells if cell["dataset"] == dataset]
        if not measured:
            continue
        lines += [f"**{title}**, {CAPTION}:", "", *HEAD]
        for cell in sorted(measured, key=lambda cell: (names.index(_own_name(cell["row"])), cell["row"])):
            figures = [accuracy(cell, "linear", fraction) for fraction in FRACTIONS]
            strides = ",".join(str(stride) for stride in cell["strides"])
            recipe = f"{cell['encoder']} ({strides}), {cell['macs'] / 1e6:.1f} M, {cell['epochs']}, "
            spent = cell.get("core_seconds")
            recipe += f"{cell['seconds']:,}, {cell['device']}" if spent is None else f"{spent:,} of one core"
            if cell.get("start"):
                recipe += f", after {_spent_before(cell, measured):,} of {cell['start']}"
            published = ": ".join(PUBLISHED.get((cell["row"], dataset), ()))
            teacher = PACKAGED.get(str(cell.get("teacher")))
            columns = [
                cell["row"] + ("" if teacher is None else f" (its teacher saw {teacher.saw})"),
                *figures,
                accuracy(cell, "knn", 1.0),
                recipe,
                published,
            ]
            lines.append("| " + " | ".join(columns) + " |")
        lines.append("")
    return "\n".join(lines)


def _spent_before(cell: dict[str, Any], cells: list[dict[str, Any]]) -> int:
    """Return the core-seconds of the row that a cell's run began with, and of the row that this one began with."""
    start = next(other for other in cells if (other["row"], other["plan"]) == (cell["start"], cell["plan"]))
    seconds: int = start["core_seconds"]
    return seconds + (_spent_before(start, cells) if start.get("start") else 0)


def publish(new: list[dict[str, Any]]) -> None:
    """Put cells into the results."""
    cells: list[dict[str, Any]] = json.loads(RESULTS.read_text())["cells"] if RESULTS.exists() else []
    replaced = {(cell["row"], cell["dataset"], cell["plan"]) for cell in new}
    cells = [cell for cell in cells if (cell["row"], cell["dataset"], cell["plan"]) not in replaced] + new
    cells.sort(key=lambda cell: (cell["dataset"], cell["plan"], cell["row"]))
    write_json(RESULTS, {"schema": 1, "cells": cells})


def main() -> None:
    """Train and probe what is not done, and write the results after each row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar10", type=Path)
    parser.add_argument("--tiny-imagenet", type=Path)
    parser.add_argument("--plan", choices=sorted(PLANS), default="cpu")
    parser.add_argument("--only", nargs="+", help="names of rows")
    parser.add_argument("--out", type=Path, default=Path("runs/ssl_table"))
    parser.add_argument("--minutes", type=float, help="start no further row after this time")
    parser.add_argument(
        "--hold-out", type=int, default=0, help="probe this many train images instead of the test images"
    )
    options = parser.parse_args()

    start = time.monotonic()
    accelerator = "cuda" if options.plan == "gpu" else "cpu"
    for dataset, data in (("cifar10", options.cifar10), ("tiny-imagenet", options.tiny_imagenet)):
        if data is None:
            continue
        study = Study(options.plan, dataset, data, options.out, accelerator, options.hold_out)
        for row in PLANS[options.plan]:
            if options.only and row.name not in options.only:
                continue
            missing = [name for name in (row.teacher, row.start) if name in _row_names() and not study.trained(name)]
            if missing:
                print(f"{row.name} waits for {' and '.join(missing)}")
                continue
            if options.minutes and time.monotonic() - start > 60 * options.minutes:
                return
            try:
                study.train(row)
                cells = list(study.cells(row))
            except subprocess.CalledProcessError as error:  # a negative control may collapse; the others go on
                print(f"{row.name} on {dataset} failed: {error}", flush=True)
                continue
            for cell in cells:
                print(
                    cell["row"],
                    dataset,
                    *(f"{fraction:.0%}: {accuracy(cell, 'linear', fraction)}" for fraction in FRACTIONS),
                )
            if not options.hold_out:
                publish(cells)


def _own_name(line: str) -> str:
    """Return the row that a line of the table belongs to: itself, of a branch, or of a feature of other stages."""
    return line.partition("/")[0].partition(",")[0]


def _row_names() -> set[str]:
    return {row.name for plan in PLANS.values() for row in plan}


def _records(path: Path, wanted: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the records of a file with these values; those of earlier versions are of stage 4 and the test images."""
    stored: list[dict[str, Any]] = json.loads(path.read_text()) if path.is_file() else []
    records = ({"split": "test", "stages": [4], **record} for record in stored)
    return [record for record in records if wanted.items() <= record.items()]


if __name__ == "__main__":
    main()
