"""`NAME.json` beside `NAME.tflite`: what `tinyedge quantise` made of whose network, from what, and how good it is."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinyedge.atomic import atomic_paths, json_text
from tinyedge.errors import ModelError
from tinyedge.manifest.manifest import Calibration, FileRecord, Precision, Preprocessing, Qat, TensorSpec, record_file

SCHEMA = 1
_KIND = "quantised network"


@dataclass(frozen=True)
class SourceRecord:
    """The float network.

    Attributes:
        name: Of its file, or of its class where it is a module.
        sha256: Of the file; None of a module.
        notes: What was changed on the way to the float graph, and how the samples were understood, a sentence each.
    """

    name: str
    sha256: str | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Form:
    """What the float graph became before its ranges were set, chosen by the signal to noise of each form in INT8.

    Attributes:
        name: Of `tinyedge.quantisation.preconditioning`.
        sqnr_db: What each form was chosen by.
    """

    name: str
    sqnr_db: dict[str, float]


@dataclass(frozen=True)
class QuantisedManifest:
    """The contents of `NAME.json`.

    Attributes:
        source: What was quantised.
        inputs: Of the quantised model, with the names of the source.
        outputs: Likewise.
        preprocessing: From pixels to the input; None where calibration said nothing of pixels.
        classes: Class names by index of the output; empty where they are not known.
        form: Of the float graph.
        calibration: What the activations' ranges come from.
        precision: What the model computes in.
        qat: How it was finished; None if it was not.
        operators: How often each operator occurs.
        parity: What each stage makes of the same samples.
        file: The quantised file.
        versions: Of the packages that made it.
        command: That made it; None from Python.
        kind: What this file is.
        schema: Of this file.
    """

    source: SourceRecord
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    preprocessing: Preprocessing | None
    classes: tuple[str, ...]
    form: Form
    calibration: Calibration
    precision: Precision
    qat: Qat | None
    operators: dict[str, int]
    parity: dict[str, Any]
    file: FileRecord
    versions: dict[str, str]
    command: str | None = None
    kind: str = field(default=_KIND)
    schema: int = field(default=SCHEMA)


def quantised_file(name: str, precision: str) -> Path:
    """Return where a quantised model goes if nobody says: into the current folder."""
    return Path(f"{name}_{precision}.tflite")


def quantised_manifest_path(model: Path) -> Path:
    """Return where the manifest of a quantised file is."""
    return model.with_suffix(".json")


def write_quantised(model: Path, content: bytes, manifest: QuantisedManifest) -> None:
    """Write a model and the manifest beside it, both or neither."""
    with atomic_paths(model, quantised_manifest_path(model)) as (file, beside):
        file.write_bytes(content)
        beside.write_text(json_text(dataclasses.asdict(manifest)), encoding="utf-8")


def is_quantised_manifest(path: Path) -> bool:
    """Return whether a file is a manifest that `tinyedge quantise` wrote."""
    return _content(path) is not None


def is_of_quantise(model: Path) -> bool:
    """Return whether a file is the one that the manifest beside it was written for."""
    content = _content(quantised_manifest_path(model))
    return content is not None and bool(content.get("file") == dataclasses.asdict(record_file(model)))


def read_quantised_manifest(model: Path) -> QuantisedManifest | None:
    """Return the manifest beside a model; None where there is none of `tinyedge quantise`.

    Raises:
        ModelError: It is damaged, or of another schema.
    """
    path = quantised_manifest_path(model)
    content = _content(path)
    if content is None:
        return None
    if content.get("schema") != SCHEMA:
        raise ModelError(f"{path} is not of schema {SCHEMA}: run `tinyedge quantise` again")
    try:
        preprocessing, qat, precision = content["preprocessing"], content["qat"], content["precision"]
        return QuantisedManifest(
            **{
                **content,
                "source": SourceRecord(**{**content["source"], "notes": tuple(content["source"]["notes"])}),
                "inputs": tuple(TensorSpec.from_json(one) for one in content["inputs"]),
                "outputs": tuple(TensorSpec.from_json(one) for one in content["outputs"]),
                "preprocessing": None if preprocessing is None else Preprocessing.from_json(preprocessing),
                "classes": tuple(content["classes"]),
                "form": Form(**content["form"]),
                "calibration": Calibration(**content["calibration"]),
                "precision": Precision.from_json(precision),
                "qat": None if qat is None else Qat(**qat),
                "file": FileRecord(**content["file"]),
            }
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is damaged ({error}): run `tinyedge quantise` again") from error


def _content(path: Path) -> dict[str, Any] | None:
    """Return what a manifest of `tinyedge quantise` holds; None where there is none, or a file of something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and content.get("kind") == _KIND else None
