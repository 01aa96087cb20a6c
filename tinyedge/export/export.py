"""A run to the files that are deployed: fold, ONNX, float TFLite, INT8, and the proof that they agree."""

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from tinyedge.atomic import atomic_directory, write_json
from tinyedge.compiler.reader import read_any_tflite
from tinyedge.data.dataset import ImageDataset
from tinyedge.encoders.base import Encoder
from tinyedge.encoders.registry import count_parameters
from tinyedge.errors import CheckpointError, ConfigError, DataError, GateFailed
from tinyedge.export.bias_correction import correct_output_bias
from tinyedge.export.equalise import equalise
from tinyedge.export.flatbuffer import tflite_bytes
from tinyedge.export.fold import fold_classifier, fold_encoder
from tinyedge.export.gates import DeployableCheck, check_deployable
from tinyedge.export.graph_network import GraphNetwork
from tinyedge.export.manifest import (
    Calibration,
    ExportManifest,
    FileRecord,
    Preprocessing,
    TensorSpec,
    record_file,
    write_manifest,
)
from tinyedge.export.onnx import INPUT_NAME, export_onnx
from tinyedge.export.parity import (
    TOP1_DROP_LIMIT,
    ParityReport,
    Top1Parity,
    compare_float,
    compare_int8,
    compare_top1,
    run_onnx,
    run_tflite,
    run_tflm,
    run_torch,
)
from tinyedge.export.preprocess import FORMULA, normalise_images, quantise_images
from tinyedge.export.quantise import quantise
from tinyedge.export.ranges import RangeChoice, choose_ranges
from tinyedge.export.stand_in import convert_with_gelu, has_gelu
from tinyedge.export.tflite import FLOAT_FILE, convert_onnx, require_export_packages

if TYPE_CHECKING:
    from tinyedge.training.run import Run

EXPORT_FOLDER = "export"
ONNX_FILE = "model.onnx"
INT8_FILE = "model_int8.tflite"
PARITY_FILE = "parity.json"
PROBE_FILE = "probe.safetensors"
FEWEST_CALIBRATION_IMAGES = 16

_MOST_UNSEEN_IMAGES = 256
_PARITY_IMAGES = 64
_TFLM_IMAGES = 8
# Milliseconds an image; 2,000 images tell accuracies apart by about a point, 10,000 by half of one.
_TOP1_IMAGES = (2000, 10000)
_VERSIONED_PACKAGES = ("tinyedge", "torch", "onnx", "onnxscript", "onnx2tf", "tensorflow", "onnxruntime")


@dataclass(frozen=True)
class Probe:
    """A linear classifier on the raw feature.

    Attributes:
        weight: (C, D) float32.
        bias: (C,) float32.
    """

    weight: torch.Tensor
    bias: torch.Tensor


@dataclass(frozen=True)
class ExportOptions:
    """How to export.

    Attributes:
        int8: Whether to write the INT8 model, or the float ones alone.
        calibration_images: How many train images set the activations' ranges.
        seed: Of their draw.
    """

    int8: bool = True
    calibration_images: int = 512
    seed: int = 0


class _Classifier(nn.Module):
    """Encoder and probe as they were trained, nothing folded: what the export is compared with."""

    def __init__(self, encoder: Encoder, probe: Probe):
        super().__init__()
        self.encoder = encoder
        self.probe = probe

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.encoder(images)  # (B, D)
        out: torch.Tensor = features @ self.probe.weight.T + self.probe.bias  # (B, C)
        return out


def export_run(
    run: "Run", *, int8: bool = True, calibration_images: int = 512, seed: int = 0, classifier: bool = True
) -> ExportManifest:
    """Export a run to `RUN/export`: model.onnx, model_float.tflite, model_int8.tflite, export.json, parity.json.

    Args:
        run: A trained run; it has to be probed if `classifier` is asked for.
        int8: Whether to write the INT8 model.
        calibration_images: How many of the run's own train images set the activations' ranges.
        seed: Of their draw.
        classifier: Encoder and linear probe in one graph, or the encoder alone.

    Raises:
        CheckpointError: The weights or the probe are missing or corrupt.
        DataError: The train split is too small.
        ToolMissing: TensorFlow or another package of the export is not installed.
        GateFailed: Everything was written, but a gate does not hold.
    """
    require_export_packages()
    options = ExportOptions(int8, calibration_images, seed)
    encoder = run.load_encoder()
    probe = load_probe(run.path) if classifier else None
    return export_model(encoder, run.load_dataset(), probe, run.path / EXPORT_FOLDER, options)


def export_model(
    encoder: Encoder, dataset: ImageDataset, probe: Probe | None, out: Path, options: ExportOptions
) -> ExportManifest:
    """Export an encoder, with or without a classifier, to a folder.

    The same arguments give the same bytes.

    Args:
        encoder: Trained, in evaluation mode, on the CPU.
        dataset: Its images have to be of the encoder's input size; calibration sees the train split alone.
        probe: The classifier; None exports the feature.
        out: The folder, replaced as a whole when everything in it is there.
        options: What to write.

    Raises:
        DataError: The train split is too small.
        ConfigError: The encoder, its images and the probe do not fit each other, or the encoder cannot be deployed.
        GateFailed: Everything was written, but a gate does not hold.
    """
    require_export_packages()
    if probe is not None and len(probe.weight) != len(dataset.classes):
        raise ConfigError(
            f"the probe has {len(probe.weight)} classes and {dataset.name} has {len(dataset.classes)}; "
            "run `tinyedge probe` on this run again"
        )
    calibration, unseen = _draw_images(dataset, options)
    encoder = encoder.eval()
    network = fold_encoder(encoder) if probe is None else fold_classifier(encoder, probe.weight, probe.bias)
    network = equalise(network, torch.from_numpy(calibration.transpose(0, 3, 1, 2)))
    trained = encoder if probe is None else _Classifier(encoder, probe).eval()
    with atomic_directory(out) as folder:
        output_name = "feature" if probe is None else "logits"
        export_onnx(network, encoder.input_size, output_name, folder / ONNX_FILE)
        if has_gelu(network):
            convert_with_gelu(network, encoder.input_size, output_name, calibration, folder / FLOAT_FILE)
        else:
            convert_onnx(folder / ONNX_FILE, calibration, folder / FLOAT_FILE)
        choice = _quantise(folder, calibration, unseen) if options.int8 else None
        manifest = _describe(encoder, dataset, probe, folder, options, choice)
        report = _compare(trained, dataset, manifest, folder)
        check = check_deployable(folder / INT8_FILE) if options.int8 else DeployableCheck({}, 0, ())
        failures = [*check.failures, *report.failures()]
        figures = dataclasses.asdict(report)
        write_json(folder / PARITY_FILE, {"schema": 1, **figures, "failures": failures})
        manifest = dataclasses.replace(
            manifest, operators=check.operators, transposes=check.transposes, parity=figures, files=_files(folder)
        )
        write_manifest(folder, manifest)
    if failures:
        raise GateFailed(
            f"the export is in {out}, but {'; '.join(failures)}; see {out / PARITY_FILE}, "
            "and try more --calibration images"
        )
    return manifest


def load_probe(run_path: Path) -> Probe:
    """Read the linear probe of a run.

    Raises:
        CheckpointError: There is none, or it is corrupt.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = run_path / PROBE_FILE
    if not path.is_file():
        raise CheckpointError(
            f"{path} does not exist, so there is no classifier to export; "
            f"run `tinyedge probe {run_path}` first, or pass --encoder-only"
        )
    try:
        tensors = load_file(path)
        return Probe(tensors["weight"].float(), tensors["bias"].float())
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} is corrupt ({error}); run `tinyedge probe {run_path}` again") from error


def _draw_images(dataset: ImageDataset, options: ExportOptions) -> tuple[np.ndarray, np.ndarray]:
    """Draw images from the train split: to calibrate on, and others to choose the ranges on.

    Returns:
        (n, H, W, 3) and (m, H, W, 3) float32, normalised. Where all are calibrated on, the others are these.
    """
    wanted, available = options.calibration_images, len(dataset.train)
    if wanted < FEWEST_CALIBRATION_IMAGES:
        raise DataError(
            f"{wanted} calibration images are too few; pass --calibration {FEWEST_CALIBRATION_IMAGES} or more"
        )
    if available < wanted:
        advice = (
            f"pass --calibration {available}"
            if available >= FEWEST_CALIBRATION_IMAGES
            else f"it takes {FEWEST_CALIBRATION_IMAGES} or more: train on a larger set"
        )
        raise DataError(f"{dataset.name} has {available} train images, too few to calibrate with {wanted}; {advice}")
    order = np.random.default_rng(options.seed).permutation(available)
    unseen = order[wanted : wanted + _MOST_UNSEEN_IMAGES]
    if len(unseen) < FEWEST_CALIBRATION_IMAGES:
        unseen = order[:wanted]
    calibration, unseen = (
        normalise_images(dataset.train.images[torch.from_numpy(np.sort(chosen))].numpy(), dataset.mean, dataset.std)
        for chosen in (order[:wanted], unseen)
    )
    return calibration, unseen


def _quantise(folder: Path, calibration: np.ndarray, unseen: np.ndarray) -> RangeChoice:
    """Write the INT8 model of the float one in a folder."""
    graph = read_any_tflite(folder / FLOAT_FILE)
    choice = choose_ranges(GraphNetwork(graph), torch.from_numpy(calibration), torch.from_numpy(unseen))
    corrected = correct_output_bias(graph, choice.ranges, torch.from_numpy(calibration))
    (folder / INT8_FILE).write_bytes(tflite_bytes(quantise(corrected, choice.ranges)))
    return choice


def _describe(
    encoder: Encoder,
    dataset: ImageDataset,
    probe: Probe | None,
    folder: Path,
    options: ExportOptions,
    choice: RangeChoice | None,
) -> ExportManifest:
    """Make the manifest of what is in the folder so far."""
    size = encoder.input_size
    outputs = encoder.feature_dim if probe is None else len(probe.weight)
    weights: dict[str, torch.Tensor] = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    if probe is not None:
        weights.update({"probe.weight": probe.weight, "probe.bias": probe.bias})
    scales = ((None, None), (None, None)) if choice is None else _quantisation(folder / INT8_FILE)
    calibration = None
    if choice is not None:
        figures = {name: round(figure, 2) for name, figure in choice.sqnr_db.items()}
        calibration = Calibration(dataset.name, options.calibration_images, options.seed, choice.name, figures)
    return ExportManifest(
        kind="encoder" if probe is None else "classifier",
        encoder=encoder.name,
        act=encoder.act,
        strides=encoder.strides,
        parameters=count_parameters(encoder),
        weights_sha256=_hash_weights(weights),
        classes=() if probe is None else tuple(dataset.classes),
        input=TensorSpec(INPUT_NAME, (1, size, size, 3), *scales[0]),
        output=TensorSpec("feature" if probe is None else "logits", (1, outputs), *scales[1]),
        preprocessing=Preprocessing(tuple(dataset.mean), tuple(dataset.std), "RGB", FORMULA),
        calibration=calibration,
        operators={},
        transposes=0,
        files={},
        parity={},
        versions=_versions(),
    )


def _compare(trained: nn.Module, dataset: ImageDataset, manifest: ExportManifest, folder: Path) -> ParityReport:
    """Run every stage on the same images: test images where there are some."""
    split = dataset.train if dataset.test is None else dataset.test
    chosen = np.sort(np.random.default_rng(0).permutation(len(split))[:_PARITY_IMAGES])
    pixels = split.images[torch.from_numpy(chosen)].numpy()
    few = normalise_images(pixels, dataset.mean, dataset.std)
    onnx_outputs = run_onnx(folder / ONNX_FILE, few)
    float_outputs = run_torch(trained, few)
    float_int8 = top1 = None
    if manifest.input.scale is not None:
        codes = quantise_images(pixels, manifest)
        int8_outputs = run_tflite(folder / INT8_FILE, codes)
        float_int8 = compare_int8(
            float_outputs, int8_outputs, manifest.output, run_tflm(folder / INT8_FILE, codes[:_TFLM_IMAGES])
        )
        if manifest.kind == "classifier" and dataset.test is not None and dataset.test.labels is not None:
            top1 = _compare_top1(trained, dataset, manifest, folder)
    return ParityReport(
        images=len(few),
        torch_onnx=compare_float(float_outputs, onnx_outputs),
        onnx_tflite=compare_float(onnx_outputs, run_tflite(folder / FLOAT_FILE, few)),
        float_int8=float_int8,
        top1=top1,
    )


def _compare_top1(trained: nn.Module, dataset: ImageDataset, manifest: ExportManifest, folder: Path) -> Top1Parity:
    """Compare accuracies on some test images, and on five times as many if some say that the gate does not hold."""
    test = dataset.test
    assert test is not None
    assert test.labels is not None
    for most in _TOP1_IMAGES:
        chosen = torch.from_numpy(np.sort(np.random.default_rng(0).permutation(len(test))[:most]))
        pixels = test.images[chosen].numpy()
        outputs = run_torch(trained, normalise_images(pixels, dataset.mean, dataset.std))
        codes = run_tflite(folder / INT8_FILE, quantise_images(pixels, manifest))
        top1 = compare_top1(outputs, codes, test.labels[chosen].numpy())
        if top1.drop <= TOP1_DROP_LIMIT:
            break
    return top1


def _quantisation(model: Path) -> tuple[tuple[float, int], tuple[float, int]]:
    """Return scale and zero point of the model's input and output."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(model))
    details = (interpreter.get_input_details()[0], interpreter.get_output_details()[0])
    (input_scale, input_zero), (output_scale, output_zero) = (detail["quantization"] for detail in details)
    return (float(input_scale), int(input_zero)), (float(output_scale), int(output_zero))


def _files(folder: Path) -> dict[str, FileRecord]:
    return {path.name: record_file(path) for path in sorted(folder.iterdir()) if not path.name.startswith(".")}


def _hash_weights(weights: Mapping[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(f"{name}{tuple(weights[name].shape)}".encode())
        digest.update(weights[name].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _versions() -> dict[str, str]:
    versions = {}
    for package in _VERSIONED_PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # A source tree on the path, not installed.
            continue
    return versions
