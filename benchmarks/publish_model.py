"""A run as a folder of the zoo: the encoder in half precision, and every figure of what is committed.

    python benchmarks/publish_model.py runs/NAME --name tinynext_t_cifar10 --data FOLDER --data-name "CIFAR-10 (JPEG)"

Writes models/NAME/{config.yaml, teacher.yaml of a distilled run, encoder.safetensors, probe.safetensors, probe.json,
model_int8.tflite, export.json, parity.json, metrics.json, card.md}. The weights are rounded first: probe, export and
bench then measure the rounded encoder, which `tinyedge export models/NAME --data FOLDER` takes as any run. Each step is
one command of `tinyedge`, printed before it runs.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tinyedge.atomic import write_json, write_text
from tinyedge.training.config import TrainConfig
from tinyedge.training.metrics import read_metrics
from tinyedge.training.run import CONFIG_FILE, ENCODER_FILE, METRICS_FILE, Run, load_run

MODELS = Path(__file__).parent.parent / "models"
EXPORTED = ("model_int8.tflite", "export.json", "parity.json")
TEACHER_FILE = "teacher.yaml"
BYTES_LIMIT = 2_000_000


def tinyedge(*arguments: object) -> None:
    """Run one `tinyedge` command."""
    command = [str(argument) for argument in arguments]
    print("$ tinyedge " + " ".join(command), flush=True)
    subprocess.run([sys.executable, "-m", "tinyedge", *command], check=True)


def portable(config: TrainConfig) -> TrainConfig:
    """Return a configuration without this machine's paths of images and teacher."""
    teacher = ",".join(portable_teacher(part) for part in teacher_parts(config)) or None
    return replace(config, data=Path(config.data).name, data_root=None, teacher=teacher)


def teacher_parts(config: TrainConfig) -> list[str]:
    """Return the teachers of a run, each as an absolute path of a run, or as NAME or NAME=WEIGHTS."""
    if config.teacher is None:
        return []
    return [config.teacher] if Path(config.teacher).exists() else config.teacher.split(",")


def portable_teacher(part: str) -> str:
    """Return the name of one teacher, without where it lies on this machine."""
    return Path(part).name if Path(part).is_absolute() else part.partition("=")[0]


def write_encoder(run: Run, out: Path) -> None:
    """Write configuration and weights, the weights and batch-norm statistics rounded to half precision."""
    out.mkdir(parents=True, exist_ok=True)
    portable(run.config).save(out / CONFIG_FILE)
    if run.config.teacher is not None and (Path(run.config.teacher) / CONFIG_FILE).is_file():
        portable(load_run(Path(run.config.teacher)).config).save(out / TEACHER_FILE)
    weights = {
        name: value.half() if value.is_floating_point() else value
        for name, value in run.load_encoder().state_dict().items()
    }
    broken = [name for name, value in weights.items() if value.is_floating_point() and not torch.isfinite(value).all()]
    if broken:
        raise SystemExit(f"{broken[0]} does not fit half precision; publish another run")
    save_file({name: value.contiguous() for name, value in weights.items()}, out / ENCODER_FILE)


def measure(out: Path, data: Path) -> dict[str, Any]:
    """Probe, export and bench the published encoder; returns the report of the bench."""
    for protocol, fraction in (("knn", 1.0), ("linear", 0.2), ("linear", 1.0)):
        tinyedge("probe", out, "--data", data, "--protocol", protocol, "--labels", fraction)
    tinyedge("export", out, "--data", data)
    report = out / "bench.json"
    tinyedge("bench", out, "--data", data, "--target", "host", "--runtime", "all", "--json", report)
    content: dict[str, Any] = json.loads(report.read_text())
    report.unlink()
    for name in EXPORTED:
        shutil.move(out / "export" / name, out / name)
    shutil.rmtree(out / "export")
    shutil.rmtree(out / "plots", ignore_errors=True)
    (out / "features.safetensors").unlink(missing_ok=True)
    return content


def summarise(run: Run, out: Path, data_name: str, bench: dict[str, Any]) -> dict[str, Any]:
    """Return metrics.json's content."""
    log = read_metrics(run.path / METRICS_FILE)
    hashes = {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in (ENCODER_FILE, EXPORTED[0])}
    return {
        "schema": 1,
        "data": data_name,
        "licence": "Apache-2.0",
        "train_seconds": round(log[-1]["elapsed_s"]) if log else None,
        "sha256": hashes,
        "config": load_run(out).config.to_dict(),
        "probes": json.loads((out / "probe.json").read_text()),
        "parity": json.loads((out / "export.json").read_text())["parity"],
        "host": bench["results"],
    }


def card(name: str, metrics: dict[str, Any]) -> str:
    """Return card.md's text."""
    config = metrics["config"]
    probes = {(probe["protocol"], probe["label_fraction"]): probe for probe in metrics["probes"]}
    linear20, linear, knn = (probes[key] for key in (("linear", 0.2), ("linear", 1.0), ("knn", 1.0)))
    accuracies = [record for record in metrics["host"] if record.get("accuracy")]
    strides = ",".join(str(stride) for stride in config["strides"])
    rows = [
        ("encoder", f"{config['encoder']}, strides {strides}, {config['act']}, half precision"),
        ("data", f"{metrics['data']}: all train images, no labels; {linear['test_images']:,} test images"),
        (
            "pretraining",
            f"`{config['method']}`, {config['epochs']} epochs, batch {config['batch_size']}, seed {config['seed']}",
        ),
        ("took", "unknown" if metrics["train_seconds"] is None else f"{metrics['train_seconds']:,} s"),
        ("linear probe, 20 % of labels", f"{100 * linear20['mean']:.2f} ± {100 * linear20['sd']:.2f} %"),
        ("linear probe, all labels", f"{100 * linear['mean']:.2f} ± {100 * linear['sd']:.2f} %"),
        ("kNN, all labels", f"{100 * knn['mean']:.2f} %"),
        *(
            (f"classifier, {record['runtime']}", f"{100 * record['accuracy']:.2f} % of {record['accuracy_images']:,}")
            for record in accuracies
        ),
        *((f"SHA-256 of {file}", f"`{value}`") for file, value in metrics["sha256"].items()),
        ("licence", metrics["licence"]),
    ]
    lines = [
        f"# {name}",
        "",
        "| | |",
        "|---|---|",
        *(f"| {key} | {value} |" for key, value in rows),
        "",
        "To reproduce:",
        "",
    ]
    distilled = config["teacher"] is not None
    if distilled:
        lines.append(f"    tinyedge train --config models/{name}/{TEACHER_FILE} --data FOLDER --out TEACHER")
    lines += [
        f"    tinyedge train --config models/{name}/config.yaml --data FOLDER --out RUN"
        + (" --teacher TEACHER" if distilled else ""),
        f"    python benchmarks/publish_model.py RUN --name {name} --data FOLDER",
        "",
        "Every figure is in `metrics.json`. To deploy it:",
        "",
        f"    tinyedge export models/{name} --data FOLDER",
        f"    tinyedge bench models/{name}/{EXPORTED[0]} --target emulator --board stm32f405",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Publish a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder of the images, test split included")
    parser.add_argument("--data-name", default="CIFAR-10 (JPEG)")
    options = parser.parse_args()

    run, out = load_run(options.run), MODELS / options.name
    write_encoder(run, out)
    bench = measure(out, options.data)
    metrics = summarise(run, out, options.data_name, bench)
    write_json(out / "metrics.json", metrics)
    write_text(out / "card.md", card(options.name, metrics))
    for path in sorted(out.iterdir()):
        size = path.stat().st_size
        print(f"{path}  {size:,} bytes")
        if size > BYTES_LIMIT:
            raise SystemExit(f"{path} is larger than {BYTES_LIMIT:,} bytes")


if __name__ == "__main__":
    main()
