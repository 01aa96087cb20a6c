"""A run to the files that are deployed: fold, ONNX, float TFLite, INT8, and the proof that they agree."""

import copy
import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tinyedge.announce import silent
from tinyedge.atomic import atomic_directory, write_json
from tinyedge.conversion.canonical import canonical
from tinyedge.conversion.converter import Converter
from tinyedge.conversion.fold import Deployable, fold_classifier, fold_encoder
from tinyedge.conversion.onnx import INPUT_NAME, export_onnx
from tinyedge.data.dataset import ImageDataset
from tinyedge.encoders.base import Encoder
from tinyedge.encoders.flops import count_macs
from tinyedge.encoders.registry import count_parameters
from tinyedge.errors import ConfigError, GateFailed
from tinyedge.exporter.options import ExportOptions, check_export_folder, check_exportable
from tinyedge.exporter.versions import package_versions
from tinyedge.installation import require
from tinyedge.manifest.manifest import (
    EXPORT_FOLDER,
    FLOAT_FILE,
    Calibration,
    ExportManifest,
    FileRecord,
    Int16x8Operator,
    Precision,
    Preprocessing,
    Qat,
    TensorSpec,
    record_file,
    write_manifest,
)
from tinyedge.manifest.preprocess import FORMULA, colour_order, normalise_images
from tinyedge.ops import operator_macs
from tinyedge.parity.compare import ExportedFiles, compare_stages, draw_parity_images, plot_report
from tinyedge.parity.layer_names import name_layers
from tinyedge.parity.parity import run_torch
from tinyedge.quantisation.bias_correction import reference_of_means
from tinyedge.quantisation.calibration import draw_calibration
from tinyedge.quantisation.deployable import DeployableCheck, check_deployable
from tinyedge.quantisation.equalise import equalise
from tinyedge.quantisation.float_executor import FloatExecutor
from tinyedge.quantisation.mixed_precision import has_int16x8_kernel
from tinyedge.quantisation.noise import reference_of
from tinyedge.quantisation.observers import RangeChoice, choose_ranges
from tinyedge.quantisation.post_training import quantise_graph
from tinyedge.quantisation.qat import finish, image_views
from tinyedge.quantisation.sensitivity import choose_int16x8, measure_sensitivity, write_sensitivity
from tinyedge.runtimes.litert_session import run_tflite
from tinyedge.tflite.graph import Graph, Operator
from tinyedge.tflite.model import Model
from tinyedge.tflite.writer import tflite_bytes
from tinyedge.training.classifier_file import corrupt_classifier, read_classifier
from tinyedge.training.run import CLASSIFIER_FILE, Run

ONNX_FILE = "model.onnx"
PARITY_FILE = "parity.json"
PLOTS_FOLDER = "plots"

_SENSITIVITY_IMAGES = 64


@dataclass(frozen=True)
class Probe:
    """A linear classifier on the raw feature, of a probe or trained with the encoder.

    Attributes:
        weight: (C, D) float32.
        bias: (C,) float32.
        stages: Stages of the encoder whose pooled maps are the feature; None is the encoder's own.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    stages: tuple[int, ...] | None = None

    def reads(self, encoder: Encoder) -> Encoder:
        """Return an encoder whose feature is what the classifier reads: a copy, where that is not its own."""
        if self.stages is None or self.stages == encoder.feature_stages:
            return encoder
        other = copy.deepcopy(encoder)
        other.read_feature_from(self.stages)
        return other


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
    run: Run,
    options: ExportOptions,
    *,
    classifier: bool = True,
    announce: Callable[[str], None] = silent,
    detail: Callable[[str], None] = silent,
    converter: Converter | None = None,
) -> ExportManifest:
    """Export a run to `RUN/export`: model.onnx, model_float.tflite, model_int8.tflite, export.json, parity.json, plots.

    Args:
        run: A trained run; it has to be probed if `classifier` is asked for.
        options: What to write.
        classifier: Encoder and linear probe in one graph, or the encoder alone.
        announce: Called with the name of each step when it begins.
        detail: Called with how far a long step is.
        converter: One that runs already, as it takes seconds to load; None starts one.

    Raises:
        CheckpointError: The weights or the probe are missing or corrupt.
        ToolMissing: A package of the export is not installed.
        GateFailed: Everything was written, but a gate does not hold.
    """
    require("an export", "export")
    announce("loading")
    encoder = run.load_encoder()
    probe = load_probe(run.path, encoder) if classifier else None
    dataset = run.load_probed_dataset() if classifier else run.load_dataset()
    made_from = {run.encoder_path.name: record_file(run.encoder_path)}
    out = run.path / EXPORT_FOLDER
    return export_model(encoder, dataset, probe, out, options, announce, detail, converter, made_from)


def export_model(
    encoder: Encoder,
    dataset: ImageDataset,
    probe: Probe | None,
    out: Path,
    options: ExportOptions,
    announce: Callable[[str], None] = silent,
    detail: Callable[[str], None] = silent,
    converter: Converter | None = None,
    made_from: Mapping[str, FileRecord] | None = None,
) -> ExportManifest:
    """Export an encoder, with or without a classifier, to a folder.

    The same arguments give the same bytes.

    Args:
        encoder: Trained, in evaluation mode, on the CPU.
        dataset: Its images have to be of the encoder's input size; calibration sees the train split alone.
        probe: The classifier; None exports the feature.
        out: The folder, replaced as a whole when everything in it is there.
        options: What to write.
        announce: Called with the name of each step when it begins.
        detail: Called with how far a long step is.
        converter: One that runs already, as it takes seconds to load; None starts one.
        made_from: The files of the encoder by name, for the manifest.

    Raises:
        ConfigError: The encoder, its images and the probe do not fit each other, the encoder cannot be deployed, the
            options contradict each other, or ask for too few calibration images; or the folder holds other files.
        GateFailed: Everything was written, but a gate does not hold.
    """
    require("an export", "export")
    check_export_folder(out)
    if probe is not None and len(probe.weight) != len(dataset.classes):
        raise ConfigError(
            f"the classifier has {len(probe.weight)} classes and {dataset.name} has {len(dataset.classes)}; "
            "run `tinyedge probe` on this run again, or `tinyedge finetune` for a classifier of its own"
        )
    announce("folding")
    drawn = draw_calibration(len(dataset.train), options.calibration_images, options.seed)
    calibration, unseen = (_normalised(dataset, positions) for positions in (drawn.seen, drawn.unseen))
    encoder = (encoder if probe is None else probe.reads(encoder)).eval()
    network = fold_encoder(encoder) if probe is None else fold_classifier(encoder, probe.weight, probe.bias)
    trained = encoder if probe is None else _Classifier(encoder, probe).eval()
    threads = torch.get_num_threads()
    with (
        atomic_directory(out) as folder,
        Converter() if converter is None else nullcontext(converter) as running,
        ThreadPoolExecutor(1) as beside,
        _threads(max(1, threads - 1)),  # One core is left to what runs beside.
    ):
        network = equalise(network, torch.from_numpy(calibration.transpose(0, 3, 1, 2)))
        announce("ONNX")
        output_name = "feature" if probe is None else "logits"
        export_onnx(network, encoder.input_size, output_name, folder / ONNX_FILE, encoder.channels)
        announce("float TFLite")
        images = draw_parity_images(dataset, count_macs(encoder), probe is not None)
        reference = beside.submit(run_torch, trained, images.first)  # While the converter computes.
        graph = canonical(running.convert(folder / ONNX_FILE), [INPUT_NAME], [output_name])
        (folder / FLOAT_FILE).write_bytes(tflite_bytes(graph))
        float_model = Model(folder / FLOAT_FILE)
        tflite = beside.submit(run_tflite, float_model, images.normalised)  # While ranges are looked for.
        model = folder / options.model_file if options.model_file else None
        choice, precision, qat = None, Precision(), None
        if model is not None:
            announce("activation ranges")
            graph = float_model.any_graph()  # As it was written: its operators have their positions.
            executor, seen = FloatExecutor(graph), (torch.from_numpy(calibration),)
            means = reference_of_means(executor, seen)
            choice = choose_ranges(executor, seen, means, reference_of(executor, (torch.from_numpy(unseen),)))
            int16x8 = _choose_int16x8(graph, choice, unseen, network, options, folder, announce)
            announce("INT8 TFLite" if options.precision == "int8" else f"{options.precision} TFLite")
            quantised = quantise_graph(graph, choice, means, int16x8)
            if options.qat_epochs > 0:
                announce("QAT")
                with _threads(threads):
                    quantised, qat = _finish(
                        quantised, graph, dataset, torch.from_numpy(drawn.others), unseen, options, detail
                    )
            model.write_bytes(tflite_bytes(quantised))
            precision = _describe_precision(graph, network, options.precision, int16x8)
        announce("parity")
        int8_model = None if model is None else Model(model)
        manifest = _describe(encoder, dataset, probe, int8_model, options, choice)
        manifest = dataclasses.replace(
            manifest, model=options.model_file, precision=precision, qat=qat, made_from=dict(made_from or {})
        )
        files = ExportedFiles(folder / ONNX_FILE, float_model, int8_model)
        report, int8_outputs = compare_stages(
            files, manifest, network, images, reference.result(), tflite.result(), options.gates
        )
        check = DeployableCheck({}, 0, ()) if model is None else check_deployable(model)
        failures = [*check.failures, *report.failures()]
        write_json(folder / PARITY_FILE, {**report.to_json(), "failures": failures})
        manifest = dataclasses.replace(
            manifest,
            operators=check.operators,
            transposes=check.transposes,
            parity=report.summary(),
            files=_files(folder),
        )
        write_manifest(folder, manifest)
        if int8_outputs is not None:
            announce("plots")
            plot_report(report, tflite.result(), int8_outputs, folder / PLOTS_FOLDER)
    if failures:
        raise GateFailed(f"the export is in {out}, but {'; '.join(failures)}; see {out / PARITY_FILE}")
    return manifest


def load_probe(run_path: Path, encoder: Encoder) -> Probe:
    """Read the linear probe of a run.

    Args:
        run_path: The run.
        encoder: Its encoder.

    Raises:
        CheckpointError: There is none, it is corrupt, or it learned from another encoder.
    """
    path = run_path / CLASSIFIER_FILE
    check_exportable(run_path)
    stored = read_classifier(path, encoder)
    if not (stored.weight.isfinite().all() and stored.bias.isfinite().all()):
        raise corrupt_classifier(path, ValueError("it holds numbers that are not finite"))
    return Probe(stored.weight, stored.bias, stored.stages)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Let PyTorch compute in so many threads inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _normalised(dataset: ImageDataset, positions: np.ndarray) -> np.ndarray:
    """Train images (n, H, W, C) float32 as the float model takes them."""
    return normalise_images(dataset.train.images[torch.from_numpy(positions)].numpy(), dataset.mean, dataset.std)


def _finish(
    quantised: Graph,
    graph: Graph,
    dataset: ImageDataset,
    others: torch.Tensor,
    unseen: np.ndarray,
    options: ExportOptions,
    detail: Callable[[str], None],
) -> tuple[Graph, Qat]:
    """Train the codes of an INT8 graph towards the float graph's output."""
    images = dataset.train.images[others]
    finished = finish(
        quantised,
        FloatExecutor(graph),
        image_views(images, dataset.name, dataset.mean, dataset.std),
        len(images),
        (torch.from_numpy(unseen),),
        epochs=options.qat_epochs,
        seed=options.seed,
        progress=lambda step, steps, sqnr_db: detail(f"step {step}/{steps}, {sqnr_db:.1f} dB"),
    )
    before, after = (round(figure, 2) for figure in finished.sqnr_db)
    return finished.graph, Qat(options.qat_epochs, before, after)


def _choose_int16x8(
    graph: Graph,
    choice: RangeChoice,
    unseen: np.ndarray,
    network: Deployable,
    options: ExportOptions,
    folder: Path,
    announce: Callable[[str], None],
) -> frozenset[Operator]:
    """Return the operators that run in 16x8; what that is chosen by, or what was asked for, goes into the folder."""
    if options.sensitivity or options.precision == "mixed":
        announce("sensitivity")
        # Every fourth or so, as they are in the order of the data set, which may be that of the classes.
        images = torch.from_numpy(unseen[:: -(-len(unseen) // _SENSITIVITY_IMAGES)])
        names = name_layers(graph, network)
        report = measure_sensitivity(FloatExecutor(graph), choice.ranges, choice.min_max, (images,), names)
        write_sensitivity(folder, report)
        if options.precision == "mixed":
            return choose_int16x8(graph, report)
    return frozenset(filter(has_int16x8_kernel, graph.operators)) if options.precision == "16x8" else frozenset()


def _describe_precision(graph: Graph, network: Deployable, name: str, int16x8: frozenset[Operator]) -> Precision:
    share = sum(map(operator_macs, int16x8)) / max(sum(map(operator_macs, graph.operators)), 1)
    names = name_layers(graph, network)
    described = tuple(
        Int16x8Operator(position, names[position], operator.op)
        for position, operator in enumerate(graph.operators)
        if operator in int16x8
    )
    return Precision(name, round(share, 4), described)


def _describe(
    encoder: Encoder,
    dataset: ImageDataset,
    probe: Probe | None,
    model: Model | None,
    options: ExportOptions,
    choice: RangeChoice | None,
) -> ExportManifest:
    """Make the manifest of what is there so far."""
    size = encoder.input_size
    outputs = encoder.feature_dim if probe is None else len(probe.weight)
    weights: dict[str, torch.Tensor] = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    if probe is not None:
        weights.update({"probe.weight": probe.weight, "probe.bias": probe.bias})
    scales = ((None, None), (None, None)) if model is None else _quantisation(model)
    calibration = None
    if choice is not None:
        figures = {name: round(figure, 2) for name, figure in choice.sqnr_db.items()}
        images = min(options.calibration_images, len(dataset.train))
        calibration = Calibration(dataset.name, images, options.seed, choice.name, figures)
    return ExportManifest(
        kind="encoder" if probe is None else "classifier",
        encoder=encoder.name,
        act=encoder.act,
        strides=encoder.strides,
        parameters=count_parameters(encoder),
        weights_sha256=_hash_weights(weights),
        classes=() if probe is None else tuple(dataset.classes),
        input=TensorSpec(INPUT_NAME, (1, size, size, encoder.channels), *scales[0]),
        output=TensorSpec("feature" if probe is None else "logits", (1, outputs), *scales[1]),
        preprocessing=Preprocessing(
            dataset.mean, dataset.std, colour_order(dataset.mean), FORMULA, dataset.white_level
        ),
        calibration=calibration,
        operators={},
        transposes=0,
        files={},
        parity={},
        versions=package_versions(),
    )


def _quantisation(model: Model) -> tuple[tuple[float, int], tuple[float, int]]:
    """Return scale and zero point of the model's input and output."""
    graph = model.any_graph()
    source, output = graph.inputs[0].q, graph.outputs[0].q
    return (source.scale, source.zero_point), (output.scale, output.zero_point)


def _files(folder: Path) -> dict[str, FileRecord]:
    return {path.name: record_file(path) for path in sorted(folder.iterdir()) if not path.name.startswith(".")}


def _hash_weights(weights: Mapping[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(f"{name}{tuple(weights[name].shape)}".encode())
        digest.update(weights[name].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
