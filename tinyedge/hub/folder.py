"""A run as a folder that is ready for the Hugging Face hub; nothing is sent anywhere."""

import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyedge.atomic import atomic_directory, write_json
from tinyedge.destination import written_parts
from tinyedge.errors import CheckpointError, ConfigError
from tinyedge.evaluation.probe_records import PROBE_FILE, read_probe_records
from tinyedge.evaluation.protocols import LAST_STAGE, OWN
from tinyedge.hub.card import Accuracy, metadata, metadata_block, table
from tinyedge.hub.portable import portable
from tinyedge.manifest.manifest import MANIFEST_FILE, ExportManifest, read_manifest, record_file
from tinyedge.plural import counted
from tinyedge.ssl.registry import learns_from_labels
from tinyedge.training.classifier_file import corrupt_classifier
from tinyedge.training.run import CLASSIFIER_FILE, CONFIG_FILE, ENCODER_FILE, Run

CARD_FILE = "README.md"
_PARITY_FILE = "parity.json"
# The last line of a card: by it a folder is known that nobody has changed since it was written.
_SEAL = "<!-- written by `tinyedge pack`, sha256 {} -->\n"
_SEALED = re.compile(re.escape(_SEAL).replace(r"\{\}", "([0-9a-f]{64})") + r"\Z")
_FILES = (CARD_FILE, CONFIG_FILE, ENCODER_FILE, CLASSIFIER_FILE, PROBE_FILE, MANIFEST_FILE, _PARITY_FILE, "*.tflite")


@dataclass(frozen=True)
class PackedFolder:
    """What was written.

    Attributes:
        path: The folder.
        name: Of the model.
        files: In it, by name.
        model: The quantised file among them; None where the run has no export.
    """

    path: Path
    name: str
    files: tuple[Path, ...]
    model: Path | None

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        model = None if self.model is None else self.model.name
        return {
            "schema": 1,
            "path": str(self.path),
            "name": self.name,
            "files": {file.name: file.stat().st_size for file in self.files},
            "model": model,
        }


def write_folder(run: Run, model: Path | None, out: Path, name: str, licence: str | None) -> PackedFolder:
    """Write a run's weights, settings, export and card into a new folder, without this machine's paths.

    Args:
        run: Trained.
        model: The quantised file of its export; None to leave the export out.
        out: The folder; what is there is replaced.
        name: Of the model.
        licence: As the hub calls it; None leaves it out.

    Raises:
        CheckpointError: A file of the run is corrupt.
    """
    records = [_with_name(record) for record in read_probe_records(run.path / PROBE_FILE)]
    config = portable(run.config)
    manifest = None
    with atomic_directory(out) as folder:
        config.save(folder / CONFIG_FILE)
        shutil.copyfile(run.encoder_path, folder / ENCODER_FILE)
        if (run.path / CLASSIFIER_FILE).is_file():
            _copy_classifier(run.path / CLASSIFIER_FILE, folder / CLASSIFIER_FILE)
        if records:
            write_json(folder / PROBE_FILE, records)
        if model is not None:
            manifest = read_manifest(model.parent)
            content = json.loads((model.parent / MANIFEST_FILE).read_text(encoding="utf-8"))
            if content.get("calibration"):
                content["calibration"]["dataset"] = Path(content["calibration"]["dataset"]).name
            write_json(folder / MANIFEST_FILE, content)
            shutil.copyfile(model, folder / model.name)
            if (model.parent / _PARITY_FILE).is_file():
                shutil.copyfile(model.parent / _PARITY_FILE, folder / _PARITY_FILE)
        # A folder is named as `load_folder` names it, and as whoever gave it did.
        names = {config.data, Path(run.config.data).resolve().name}
        text = _card(name, Run(folder, config), _accuracies(records, manifest, names), manifest, licence)
        (folder / CARD_FILE).write_text(text + _SEAL.format(_digest(folder, text)), encoding="utf-8")
        for file in folder.iterdir():  # As all files that tinyedge writes, whatever copied or saved it.
            file.chmod(0o644)
    return PackedFolder(out, name, tuple(sorted(out.iterdir())), None if model is None else out / model.name)


def check_replaceable(folder: Path) -> None:
    """Refuse to replace a folder that holds anything but what `write_folder` wrote into it.

    Args:
        folder: May be absent or empty.

    Raises:
        ConfigError: A file in it is none of ours, or was changed since.
    """
    advice = "give another folder to --out, or remove it first"
    folders, files = written_parts(folder, _FILES, advice)
    if not folders and not files:
        return
    card = folder / CARD_FILE
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    seal = _SEALED.search(text)
    if seal is None or seal[1] != _digest(folder, text[: seal.start()]):
        raise ConfigError(f"{folder} holds files that `tinyedge pack` did not write, or that were changed: {advice}")


def _digest(folder: Path, card: str) -> str:
    """Return the SHA-256 of a folder's files, with this text in place of its card."""
    digest = hashlib.sha256(card.encode())
    for file in sorted(folder.iterdir()):
        if file.name != CARD_FILE and any(file.match(pattern) for pattern in _FILES):
            digest.update(f"{file.name} {record_file(file).sha256}\n".encode())
    return digest.hexdigest()


def _with_name(record: dict[str, Any]) -> dict[str, Any]:
    """Return a probe's record with its images named without where they lay."""
    return {**record, "data": Path(record["data"]).name} if isinstance(record.get("data"), str) else record


def _copy_classifier(source: Path, copy: Path) -> None:
    """Copy a classifier's file, its images named without where they lay."""
    from safetensors import SafetensorError, safe_open
    from safetensors.numpy import load_file, save_file

    try:
        with safe_open(source, framework="np") as stored:
            metadata = stored.metadata() or {}
        tensors = load_file(source)
    except (SafetensorError, OSError, ValueError) as error:
        raise corrupt_classifier(source, error) from error
    if "classes" not in metadata:
        raise CheckpointError(f"{source} names no classes: probe the run again")
    save_file(tensors, copy, metadata={**metadata, "data": Path(metadata.get("data", "")).name})


def _accuracies(records: list[dict[str, Any]], manifest: ExportManifest | None, names: set[str]) -> list[Accuracy]:
    """Return what was measured on the test images of the run's data set: each kind of probe, and what was exported.

    Args:
        records: Of all probes; those of other data sets, and of held-out train images, are left out.
        manifest: Of the export.
        names: Of the data set, any of which a record may have.
    """
    measured: dict[str, float] = {}
    for record in records:
        own_images = record.get("data") in (None, *names) and record.get("split") == "test"
        if own_images and isinstance(record.get("mean"), float):
            fraction = 100 * float(record.get("label_fraction") or 1.0)
            labels = "all labels" if fraction == 100 else f"{fraction:g} % of the labels"
            kinds = {
                OWN: "its own classifier",
                "knn": f"kNN, {labels}",
                "finetune": f"fine-tuned, {labels}",
                "linear-sgd": f"linear probe by SGD, {labels}",
            }
            stages = record.get("stages") or [*LAST_STAGE]
            several = "" if stages == [*LAST_STAGE] else f", stages {','.join(map(str, stages))}"
            measured[kinds.get(str(record.get("protocol")), f"linear probe, {labels}") + several] = record["mean"]
    if manifest is None or manifest.parity.get("split") != "test":
        return [Accuracy(what, value) for what, value in measured.items()]
    top1 = manifest.parity.get("top1") or {}
    if "int8_top1" in top1 and (manifest.calibration is None or Path(manifest.calibration.dataset).name in names):
        measured["classifier, float"] = top1["float_top1"] / 100
        measured["classifier, INT8"] = top1["int8_top1"] / 100
    return [Accuracy(what, value) for what, value in measured.items()]


def _card(
    name: str, run: Run, accuracies: Sequence[Accuracy], manifest: ExportManifest | None, licence: str | None
) -> str:
    config = run.config
    labelled = learns_from_labels(config.method)
    strides = ",".join(map(str, config.strides or ()))
    pixels = f"{config.image_size} x {config.image_size} pixels, {'RGB' if config.channels == 3 else 'greyscale'}"
    rows = [
        ("encoder", f"{config.encoder}, strides {strides}, {config.act}"),
        ("images", f"{config.data}, {pixels}; {'with their' if labelled else 'no'} labels in training"),
        (
            "training",
            f"`{config.method}`, {counted(config.epochs, 'epoch')}, batch {config.batch_size}, seed {config.seed}",
        ),
        *([("teacher", config.teacher)] if config.teacher else []),
        *([("begins with", config.from_run)] if config.from_run else []),
        *((accuracy.what, f"{100 * accuracy.value:.2f} %") for accuracy in accuracies),
    ]
    if manifest is not None:
        rows.append(("parameters of the encoder", f"{manifest.parameters:,}"))
        if manifest.classes:
            rows.append(("classes", ", ".join(manifest.classes)))
    model = [] if manifest is None or manifest.model is None else [manifest.model]
    for file in (ENCODER_FILE, *model):
        record = record_file(run.path / file)
        rows.append((f"SHA-256 of {file}", f"`{record.sha256}`, {record.bytes:,} bytes"))
    if licence is not None:
        rows.append(("licence", licence))
    classifies = (run.path / CLASSIFIER_FILE).is_file()
    block = metadata(
        name,
        data=config.data,
        data_name=config.data,
        classifies=classifies,
        learned_from_labels=labelled,
        accuracies=accuracies,
        licence=licence,
    )
    result = "logits, of model.classes" if classifies else "features"
    lines = [
        f"{metadata_block(block)}# {name}",
        "",
        "A vision encoder for microcontrollers, by [tinyedge](https://github.com/tinyedge-mcu/tinyedge).",
        "",
        table(rows),
        "",
        "    import tinyedge",
        "",
        f'    model = tinyedge.load("OWNER/{name}")  # where this folder was uploaded to; or the folder',
        f'    model(model.preprocess(["picture.jpg"]))  # {result}',
        "",
    ]
    if model:
        lines += [
            "On a microcontroller:",
            "",
            f"    hf download OWNER/{name} --local-dir {name}",
            f"    tinyedge compile {name} --out c",
            f"    tinyedge bench {name} --target emulator --board stm32f405",
            "",
        ]
    return "\n".join(lines)
