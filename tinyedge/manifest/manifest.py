"""`export.json`: what was exported, from what, and what it takes to feed it."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinyedge.atomic import write_json
from tinyedge.errors import ModelError
from tinyedge.shell import command_line

SCHEMA = 1
MANIFEST_FILE = "export.json"
EXPORT_FOLDER = "export"  # of a run
FLOAT_FILE = "model_float.tflite"
EXPORT_FILES = (
    *(MANIFEST_FILE, "parity.json", "sensitivity.json", "plots/*.png"),
    *("model.onnx", FLOAT_FILE, "model_int8.tflite", "model_mixed.tflite", "model_16x8.tflite"),
)
"""All that an export may consist of."""


@dataclass(frozen=True)
class TensorSpec:
    """The model's input or output.

    Attributes:
        name: In the ONNX file.
        shape: In the TFLite file, the batch of 1 included; NHWC for images.
        scale: Of the INT8 model: real = scale * (quantised - zero_point); None where the tensor has none.
        zero_point: The code of the real 0; None where the tensor has no scale.
    """

    name: str
    shape: tuple[int, ...]
    scale: float | None
    zero_point: int | None

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "TensorSpec":
        """Return what `dataclasses.asdict` made a JSON object of."""
        return cls(**{**content, "shape": tuple(content["shape"])})


@dataclass(frozen=True)
class Preprocessing:
    """From a uint8 pixel, RGB or grey, to the model's input.

    Attributes:
        mean: Of each channel, for images scaled to [0, 1].
        std: Of each channel, likewise.
        channels: The order of the channels.
        formula: The int8 input of a pixel.
        white_level: What becomes pixel 255 in 16-bit greyscale files; None where there were none.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    channels: str
    formula: str
    white_level: int | None = None

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Preprocessing":
        """Return what `dataclasses.asdict` made a JSON object of."""
        return cls(**{**content, "mean": tuple(content["mean"]), "std": tuple(content["std"])})


@dataclass(frozen=True)
class Calibration:
    """Which samples the activations' ranges come from; of a run's export images of its train split.

    Attributes:
        dataset: Its name, or the folder or file.
        images: How many.
        seed: Of the draw.
        ranges: What was chosen among the candidates of `tinyedge.quantisation.observers`.
        sqnr_db: What each candidate was chosen by.
    """

    dataset: str
    images: int
    seed: int
    ranges: str
    sqnr_db: dict[str, float]


@dataclass(frozen=True)
class FileRecord:
    """One exported file."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Int16x8Operator:
    """An operator that runs in 16x8.

    Attributes:
        position: Among the operators of the float TFLite model.
        name: Of the layer, `stage3.2 mixer query`; "" where that is not known.
        op: TFLite's name of the operator.
    """

    position: int
    name: str
    op: str


@dataclass(frozen=True)
class Precision:
    """What the deployed model computes in.

    Attributes:
        name: "int8", "mixed" or "16x8".
        macs_share: Of the multiply-accumulates, how many run in 16x8.
        int16x8: The operators that do; all others run in INT8.
    """

    name: str = "int8"
    macs_share: float = 0.0
    int16x8: tuple[Int16x8Operator, ...] = ()

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Precision":
        """Return what `dataclasses.asdict` made a JSON object of."""
        rest = {name: value for name, value in content.items() if name not in ("int16x8", "wide")}
        operators = content.get("int16x8", content.get("wide", ()))  # "wide" until 0.2.0.
        return cls(**rest, int16x8=tuple(Int16x8Operator(**one) for one in operators))


@dataclass(frozen=True)
class Qat:
    """The quantisation-aware finish.

    Attributes:
        epochs: Passes over the train images.
        sqnr_before_db: Signal-to-noise ratio of the output on images that it was not trained on, before it.
        sqnr_after_db: After it; where this is lower, what was before is what was exported.
    """

    epochs: float
    sqnr_before_db: float
    sqnr_after_db: float


@dataclass(frozen=True)
class ExportManifest:
    """The contents of `export.json`.

    Attributes:
        kind: "classifier" (encoder and linear probe in one graph) or "encoder" (the feature).
        encoder: The encoder's name.
        act: Its activation.
        strides: Its strides.
        parameters: Of the trained encoder, without the classifier.
        weights_sha256: Of the trained weights from which the graph was folded.
        classes: Class names by index of the output; empty for an encoder.
        input: The image.
        output: Logits (1, C), or the feature (1, D).
        preprocessing: From pixels to the input.
        calibration: None without an INT8 model.
        operators: How often each operator occurs in the INT8 model.
        transposes: How many of them move data only.
        files: The exported files by name.
        parity: The figures of `parity.json`.
        versions: Of the packages that made it.
        model: The name of the quantised file, which is the one to deploy; None without one.
        precision: Of that file.
        qat: How it was finished; None if it was not.
        made_from: The run's encoder by its file's name; empty where it came from Python or an earlier version.
        schema: Of this file.
    """

    kind: str
    encoder: str
    act: str
    strides: tuple[int, ...]
    parameters: int
    weights_sha256: str
    classes: tuple[str, ...]
    input: TensorSpec
    output: TensorSpec
    preprocessing: Preprocessing
    calibration: Calibration | None
    operators: dict[str, int]
    transposes: int
    files: dict[str, FileRecord]
    parity: dict[str, Any]
    versions: dict[str, str]
    model: str | None = "model_int8.tflite"  # The only one there was when manifests did not say.
    precision: Precision = field(default_factory=Precision)
    qat: Qat | None = None
    made_from: dict[str, FileRecord] = field(default_factory=dict)
    schema: int = field(default=SCHEMA)


def write_manifest(directory: Path, manifest: ExportManifest) -> None:
    """Write `export.json` into a folder."""
    write_json(directory / MANIFEST_FILE, dataclasses.asdict(manifest))


def read_manifest(directory: Path) -> ExportManifest:
    """Read the `export.json` of a folder.

    Raises:
        ModelError: There is none, it is damaged, or of another schema.
    """
    path = directory / MANIFEST_FILE
    advice = _advice(directory)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path} does not exist; {advice}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read ({error}); {advice}") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise ModelError(f"{path} is not of schema {SCHEMA}; {advice}")
    try:
        calibration = content["calibration"]
        return ExportManifest(
            **{
                **content,
                "strides": tuple(content["strides"]),
                "classes": tuple(content["classes"]),
                "input": TensorSpec.from_json(content["input"]),
                "output": TensorSpec.from_json(content["output"]),
                "preprocessing": Preprocessing.from_json(content["preprocessing"]),
                "calibration": None if calibration is None else Calibration(**calibration),
                "precision": Precision.from_json(content.get("precision", {})),
                "qat": Qat(**content["qat"]) if content.get("qat") else None,
                "files": {name: FileRecord(**record) for name, record in content["files"].items()},
                "made_from": {name: FileRecord(**record) for name, record in content.get("made_from", {}).items()},
            }
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is damaged ({error}); {advice}") from error


def _advice(directory: Path) -> str:
    """How the manifest of a folder comes about: by an export, whose run is known where the folder is a part of it."""
    if directory.name == EXPORT_FOLDER:
        return f"run `{command_line('tinyedge', 'export', directory.parent, '--int8')}`"
    return f"put the {MANIFEST_FILE} there that `tinyedge export` wrote with its models, or give the run itself"


def record_file(path: Path) -> FileRecord:
    """Return size and hash of a file."""
    content = path.read_bytes()
    return FileRecord(hashlib.sha256(content).hexdigest(), len(content))
