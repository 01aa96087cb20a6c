"""A run as a folder of the zoo: the encoder in half precision, and every figure of what is committed.

    python benchmarks/publish_model.py runs/NAME --name tinynext_t_cifar10 --data FOLDER --data-name "CIFAR-10 (JPEG)"

Writes models/NAME/{config.yaml, encoder.safetensors, probe.safetensors, probe.json, model_int8.tflite, export.json,
parity.json, metrics.json, card.md}; of a distilled run teacher.yaml too, and teacher_of_teacher.yaml of a distilled
teacher, and so on, and start.yaml of a run that begins with another's encoder, so that the card's commands need nothing
but the images. A classifier that was trained with the encoder stays its own. The weights are rounded first: probe,
export and bench then measure the rounded encoder, which `tinyedge export models/NAME --data FOLDER` takes as any run.
Each step is one command of `tinyedge`, printed before it runs. models/README.md, the table of the zoo, is written last,
from every metrics.json.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from tinyedge.atomic import write_json, write_text
from tinyedge.evaluation.probe_records import PROBE_FILE
from tinyedge.hub.card import Accuracy, metadata, metadata_block, table
from tinyedge.hub.portable import portable, portable_teacher, teacher_parts
from tinyedge.ssl.registry import method_options
from tinyedge.training.classifier_file import read_classifier, save_classifier
from tinyedge.training.config import TrainConfig, load_config
from tinyedge.training.encoder_file import encoder_bytes, read_description, weights_digest
from tinyedge.training.metrics import read_metrics
from tinyedge.training.run import CLASSIFIER_FILE, CONFIG_FILE, ENCODER_FILE, METRICS_FILE, Run, load_run
from tinyedge.training.teacher_source import PACKAGED, is_dictionary, named_source

MODELS = Path(__file__).parent.parent / "models"
EXPORTED = ("model_int8.tflite", "export.json", "parity.json")
SUMMARY_FILE = "metrics.json"
RUNTIME_NAMES = {"onnx": "float", "litert": "INT8 by LiteRT", "tflm": "INT8 by TFLite Micro", "aot": "INT8 by our C"}
BOARD = "stm32f405"
BYTES_LIMIT = 2_000_000


def tinyedge(*arguments: object) -> None:
    """Run one `tinyedge` command."""
    command = [str(argument) for argument in arguments]
    print("$ tinyedge " + " ".join(command), flush=True)
    subprocess.run([sys.executable, "-m", "tinyedge", *command], check=True)


@dataclass(frozen=True)
class Training:
    """One training on the way to an encoder.

    Attributes:
        file: Name of its configuration in the zoo.
        config: What that file holds.
        teachers: What it learns from: files of earlier trainings and names of published networks.
        seconds: How long it took; None where nobody kept that.
        start: File of the earlier training whose encoder it begins with; None for one that begins by itself.
        core_seconds: What it took of processors; None where nobody kept that.
    """

    file: str
    config: TrainConfig
    teachers: tuple[str, ...]
    seconds: int | None
    start: str | None = None
    core_seconds: int | None = None

    def as_source(self, name: str) -> "Training":
        """Return the training under the name that it has in the folder of the run that learns from it."""
        teachers = tuple(file_as_source(teacher, name) for teacher in self.teachers)
        start = None if self.start is None else file_as_source(self.start, name)
        return replace(self, file=file_as_source(self.file, name), teachers=teachers, start=start)

    def to_dict(self) -> dict[str, Any]:
        """Return metrics.json's record of the training."""
        return {
            "config": self.file,
            "method": self.config.method,
            "epochs": self.config.epochs,
            "teachers": list(self.teachers),
            "seconds": self.seconds,
            **({} if self.core_seconds is None else {"core_seconds": self.core_seconds}),
            **({} if self.start is None else {"start": self.start}),
        }


def file_as_source(file: str, name: str) -> str:
    """Return what a source's `file` is called where the source is `name`; a published network keeps its name."""
    if file == CONFIG_FILE:
        return f"{name}.yaml"
    return f"{Path(file).stem}_of_{name}.yaml" if file.endswith(".yaml") else file


def trainings(folder: Path) -> list[Training]:
    """Return every training that leads to a run or a folder of the zoo: what it begins with, its teachers, itself."""
    config = load_run(folder).config
    if (folder / SUMMARY_FILE).is_file():
        summary = json.loads((folder / SUMMARY_FILE).read_text())
        if "training" not in summary:
            raise SystemExit(f"{folder / SUMMARY_FILE} does not say how its teachers were trained; publish it again")
        return [
            Training(
                record["config"],
                load_config(folder / record["config"]),
                tuple(record["teachers"]),
                record["seconds"],
                record.get("start"),
                record.get("core_seconds"),
            )
            for record in summary["training"]
        ]
    parts = teacher_parts(config)
    runs = [part for part in parts if Path(part).is_absolute()]
    steps, teachers = [], []
    if config.from_run is not None:
        steps += [step.as_source("start") for step in trainings(Path(config.from_run))]
    for part in parts:
        if part not in runs:
            teachers.append(portable_teacher(part))
            continue
        name = "teacher" if len(runs) == 1 else f"teacher{runs.index(part) + 1}"
        steps += [step.as_source(name) for step in trainings(Path(part))]
        teachers.append(f"{name}.yaml")
    log = read_metrics(folder / METRICS_FILE)
    seconds = round(log[-1]["elapsed_s"]) if log else None
    core_seconds = round(log[-1]["cpu_s"]) if log and "cpu_s" in log[-1] else None
    start = None if config.from_run is None else "start.yaml"
    # With options, too, that were not there yet when the run began.
    own = replace(portable(config), method_options=method_options(config.method, config.method_options))
    return [*steps, Training(CONFIG_FILE, own, tuple(teachers), seconds, start, core_seconds)]


def write_encoder(run: Run, steps: Sequence[Training], out: Path) -> None:
    """Write configurations and weights, the weights and batch-norm statistics rounded to half precision."""
    out.mkdir(parents=True, exist_ok=True)
    encoder = run.load_encoder()
    described = read_description(run.encoder_path)
    stored = read_classifier(run.path / CLASSIFIER_FILE) if run.has_own_classifier else None
    for stale in (*out.glob("teacher*.yaml"), *out.glob("start*.yaml"), out / PROBE_FILE, out / CLASSIFIER_FILE):
        stale.unlink(missing_ok=True)
    for step in steps:
        step.config.save(out / step.file)
    weights = {
        name: value.half() if value.is_floating_point() else value for name, value in encoder.state_dict().items()
    }
    broken = [name for name, value in weights.items() if value.is_floating_point() and not torch.isfinite(value).all()]
    if broken:
        raise SystemExit(f"{broken[0]} does not fit half precision; publish another run")
    statistics = run.load_dataset() if described is None else described
    (out / ENCODER_FILE).write_bytes(
        encoder_bytes(encoder, weights, statistics.mean, statistics.std, statistics.white_level)
    )
    if stored is not None:
        rounded = weights_digest(load_run(out).load_encoder())
        published = replace(stored, data=portable(run.config).data, encoder_sha256=rounded)
        save_classifier(out / CLASSIFIER_FILE, published)


def measure(out: Path, data: Path, qat_epochs: float, stages: tuple[int, ...]) -> dict[str, Any]:
    """Probe, export and bench the published encoder; returns metrics.json's figures of the benches."""
    feature = stage_arguments(stages)
    for protocol, fraction in (("knn", 1.0), ("linear", 0.2), ("linear", 1.0)):
        tinyedge("probe", out, "--data", data, "--protocol", protocol, "--labels", fraction, *feature)
    if load_run(out).has_own_classifier:  # Of the feature that it was trained with.
        tinyedge("probe", out, "--data", data, "--protocol", "own", "--labels", 1.0)
    tinyedge("export", out, "--data", data, *qat_arguments(qat_epochs))
    host = bench(out, "--data", data, "--target", "host", "--runtime", "all")
    for name in EXPORTED:
        shutil.move(out / "export" / name, out / name)
    shutil.rmtree(out / "export")
    shutil.rmtree(out / "plots", ignore_errors=True)
    for stored in out.glob("features*.safetensors"):
        stored.unlink()
    finished = {"qat_epochs": qat_epochs} if qat_epochs else {}
    return {"host": host["results"], **finished, **emulate(out)}


def qat_arguments(epochs: float) -> list[str]:
    """Return the options of `tinyedge export` for so many epochs of quantisation-aware training."""
    return ["--qat", f"{epochs:g}"] if epochs else []


def stage_list(text: str) -> tuple[int, ...]:
    """Return what --stages names: ascending, the last one among them, or export would find no classifier.

    Raises:
        ValueError: It does not.
    """
    stages = tuple(int(stage) for stage in text.split(","))
    if not set(stages) <= {1, 2, 3, 4} or stages != tuple(sorted(set(stages))) or stages[-1] != 4:
        raise ValueError
    return stages


def stage_arguments(stages: tuple[int, ...]) -> list[str]:
    """Return the option of `tinyedge probe` for a feature of these stages; of none, the encoder's own."""
    return ["--stages", ",".join(map(str, stages))] if stages else []


def emulate(out: Path) -> dict[str, Any]:
    """Bench the INT8 file of the zoo on the emulated board, as the card's last command does."""
    report = bench(out / EXPORTED[0], "--target", "emulator", "--board", BOARD)
    size = {key: report["model"][key] for key in ("macs", "params", "bytes")}
    return {"model": size, "emulator": report["results"]}


def bench(*arguments: object) -> dict[str, Any]:
    """Return the report of `tinyedge bench`."""
    command = [sys.executable, "-m", "tinyedge", "bench", *map(str, arguments), "--json"]
    content: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return content


def summarise(
    steps: Sequence[Training], out: Path, data_name: str, stages: tuple[int, ...], figures: dict[str, Any]
) -> dict[str, Any]:
    """Return metrics.json's content."""
    hashes = {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in (ENCODER_FILE, EXPORTED[0])}
    return {
        "schema": 2,
        "data": data_name,
        "licence": "Apache-2.0",
        "training": [step.to_dict() for step in steps],
        "sha256": hashes,
        "config": load_run(out).config.to_dict(),
        **({"stages": list(stages)} if stages else {}),
        "probes": json.loads((out / "probe.json").read_text()),
        "parity": json.loads((out / "export.json").read_text())["parity"],
        **figures,
    }


def seconds(step: dict[str, Any]) -> str:
    """Return how long a training took, as the card says it."""
    if step["seconds"] is None:
        return "unknown"
    cores = f", {step['core_seconds']:,} core-seconds" if "core_seconds" in step else ""
    return f"{step['seconds']:,} s{cores}"


def run_folder(file: str) -> str:
    """Return the folder that the card trains a configuration into."""
    return "RUN" if file == CONFIG_FILE else Path(file).stem.upper()


def train_command(name: str, step: dict[str, Any]) -> str:
    """Return the command that repeats a training of metrics.json."""
    sources = [source(teacher) for teacher in step["teachers"]]
    command = f"tinyedge train --config models/{name}/{step['config']} --data FOLDER --out {run_folder(step['config'])}"
    start = f" --from {run_folder(step['start'])}" if step.get("start") else ""
    return f"{command}{start} --teacher {','.join(sources)}" if sources else f"{command}{start}"


def source(teacher: str) -> str:
    """Return what --teacher takes for a teacher of metrics.json."""
    if teacher.endswith(".yaml"):
        return run_folder(teacher)
    return teacher if teacher in PACKAGED or is_dictionary(teacher) else f"{teacher}=WEIGHTS"


def bit_exactness(record: dict[str, Any]) -> str:
    """Return in words how the outputs of a bench compare with TFLite Micro's."""
    if record["bit_exact"]:
        return f"bit-exact on {record['inputs']} inputs"
    return f"{record['differing']:,} output bytes differ on {record['inputs']} inputs"


def with_spread(record: dict[str, Any]) -> str:
    """Return a probe's mean in per cent, with its deviation over the label subsets where there are several."""
    spread = "" if record["sd"] is None else f" ± {100 * record['sd']:.2f}"
    return f"{100 * record['mean']:.2f}{spread}"


def card(name: str, metrics: dict[str, Any]) -> str:
    """Return card.md's text."""
    config = metrics["config"]
    probes = {(probe["protocol"], probe["label_fraction"]): probe for probe in metrics["probes"]}
    linear20, linear, knn = (probes[key] for key in (("linear", 0.2), ("linear", 1.0), ("knn", 1.0)))
    own_classifier = probes.get(("own", 1.0))
    seen = ", of features that learned from all" if own_classifier else ""
    qat = qat_arguments(metrics.get("qat_epochs", 0))
    accuracies = [record for record in metrics["host"] if record.get("accuracy")]
    strides = ",".join(str(stride) for stride in config["strides"])
    stages = tuple(metrics.get("stages", ()))
    *teachers, own = metrics["training"]
    rows = [
        ("encoder", f"{config['encoder']}, strides {strides}, {config['act']}, half precision"),
        (
            "data",
            f"{metrics['data']}: all train images, {'with their' if own_classifier else 'no'} labels; "
            f"{linear['test_images']:,} test images",
        ),
        (
            "fine-tuning" if own_classifier else "pretraining",
            f"`{config['method']}`, {config['epochs']} epochs, batch {config['batch_size']}, seed {config['seed']}",
        ),
        ("took", seconds(own)),
        *(("teacher", f"`{named_source(name)}`") for name in own["teachers"] if not name.endswith(".yaml")),
        *(
            (f"`{step['config']}`", f"`{step['method']}`, {step['epochs']} epochs, took {seconds(step)}")
            for step in reversed(teachers)
        ),
        *([("feature", f"pooled maps of stages {', '.join(map(str, stages))}")] if stages else []),
        ("linear probe, 20 % of labels", f"{with_spread(linear20)} %{seen}"),
        ("linear probe, all labels", f"{with_spread(linear)} %"),
        ("kNN, all labels", f"{100 * knn['mean']:.2f} %"),
        *([("its own classifier", f"{100 * own_classifier['mean']:.2f} %")] if own_classifier else []),
        *(
            (f"classifier, {record['runtime']}", f"{100 * record['accuracy']:.2f} % of {record['accuracy_images']:,}")
            for record in accuracies
        ),
        *(
            (
                f"{record['runtime']} on emulated {record['board']}",
                f"{record['instructions']:,} instructions, {record['flash_bytes']:,} bytes of flash, "
                f"{record['ram_bytes']:,} of static RAM; {bit_exactness(record)}",
            )
            for record in metrics["emulator"]
        ),
        *((f"SHA-256 of {file}", f"`{value}`") for file, value in metrics["sha256"].items()),
        ("licence", metrics["licence"]),
    ]
    block = metadata(
        name,
        data=config["data"],
        data_name=metrics["data"],
        classifies=True,
        learned_from_labels=own_classifier is not None,
        accuracies=[
            *([] if own_classifier else [Accuracy("linear probe, 20 % of the labels", linear20["mean"])]),
            *(
                Accuracy(f"classifier, {RUNTIME_NAMES[record['runtime']]}", record["accuracy"])
                for record in accuracies
                if record["accuracy_images"] == linear["test_images"]
            ),
        ],
        licence=metrics["licence"],
    )
    lines = [
        f"{metadata_block(block)}# {name}",
        "",
        table(rows),
        "",
        "To reproduce:",
        "",
    ]
    lines += [
        *("    " + train_command(name, step) for step in metrics["training"]),
        " ".join(
            [f"    python benchmarks/publish_model.py RUN --name {name} --data FOLDER", *qat, *stage_arguments(stages)]
        ),
        "",
        "Every figure is in `metrics.json`. To deploy it:",
        "",
        " ".join([f"    tinyedge export models/{name} --data FOLDER", *qat]),
        f"    tinyedge bench models/{name}/{EXPORTED[0]} --target emulator --board {BOARD}",
    ]
    return "\n".join(lines) + "\n"


def has_own_classifier(metrics: dict[str, Any]) -> bool:
    """Tell whether the classifier of metrics.json was trained with its encoder."""
    return any(probe["protocol"] == "own" for probe in metrics["probes"])


def catalogue() -> str:
    """Return the text of the zoo's README.md, with the best classifier first."""
    header = (
        *("model", "data", "linear probe, 20 % of labels", "top-1 INT8", "MACs"),
        *(f"flash on {BOARD}", "static RAM", "arena", "instructions", "against TFLite Micro"),
    )
    rows = []
    for path in MODELS.glob(f"*/{SUMMARY_FILE}"):
        metrics = json.loads(path.read_text())
        (linear20,) = (
            probe for probe in metrics["probes"] if (probe["protocol"], probe["label_fraction"]) == ("linear", 0.2)
        )
        (host,) = (record for record in metrics["host"] if record["runtime"] == "aot")
        (emulated,) = metrics["emulator"]
        cells = (
            f"[`{path.parent.name}`]({path.parent.name}/card.md)",
            metrics["data"],
            "learned from all" if has_own_classifier(metrics) else f"{100 * linear20['mean']:.1f} %",
            f"{100 * host['accuracy']:.1f} %",
            f"{metrics['model']['macs']:,}",
            *(f"{emulated[key]:,} B" for key in ("flash_bytes", "ram_bytes", "arena_bytes")),
            f"{emulated['instructions']:,}",
            bit_exactness(emulated),
        )
        rows.append((-host["accuracy"], cells))
    lines = [
        "# The zoo",
        "",
        "A folder a model: its card, encoder and probe in half precision (a run, which `tinyedge probe` and "
        "`tinyedge export` take),",
        "the INT8 file, the export's manifest and parity report, and every figure in `metrics.json`. Every command "
        "takes one by its",
        "name, and so do `tinyedge.load` and `tinyedge.predict`: `tinyedge predict tinynext_t_cifar10 picture.jpg`.",
        "`python benchmarks/publish_model.py RUN --name NAME --data FOLDER` writes one, and this table.",
        "",
        f"Flash, RAM and instructions are of `tinyedge bench models/NAME/{EXPORTED[0]} --target emulator "
        f"--board {BOARD}`.",
        "",
        f"| {' | '.join(header)} |",
        "|---" * len(header) + "|",
        *(f"| {' | '.join(cells)} |" for _, cells in sorted(rows)),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Publish a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder of the images, test split included")
    parser.add_argument("--data-name", default="CIFAR-10 (JPEG)")
    parser.add_argument("--qat", type=float, default=0.0, help="epochs of quantisation-aware training")
    parser.add_argument("--stages", type=stage_list, default=(), help="stages that are probed, such as 1,2,3,4")
    options = parser.parse_args()

    run, out = load_run(options.run), MODELS / options.name
    stages = options.stages
    steps = trainings(options.run)
    write_encoder(run, steps, out)
    figures = measure(out, options.data, options.qat, stages)
    metrics = summarise(steps, out, options.data_name, stages, figures)
    write_json(out / SUMMARY_FILE, metrics)
    write_text(out / "card.md", card(options.name, metrics))
    write_text(MODELS / "README.md", catalogue())
    for path in sorted(out.iterdir()):
        size = path.stat().st_size
        print(f"{path}  {size:,} bytes")
        if size > BYTES_LIMIT:
            raise SystemExit(f"{path} is larger than {BYTES_LIMIT:,} bytes")


if __name__ == "__main__":
    main()
