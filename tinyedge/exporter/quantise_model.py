"""Anybody's float network to the file that is deployed: ranges, INT8 or 16x8, and the proof that it is the same."""

import dataclasses
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tinyedge.announce import silent
from tinyedge.conversion.network import SourceNetwork
from tinyedge.errors import ConfigError
from tinyedge.exporter.options import QuantiseOptions
from tinyedge.exporter.versions import package_versions
from tinyedge.manifest.manifest import (
    Calibration,
    Int16x8Operator,
    Precision,
    Preprocessing,
    Qat,
    TensorSpec,
    record_file,
)
from tinyedge.manifest.preprocess import FORMULA, colour_order
from tinyedge.manifest.quantised import (
    Form,
    QuantisedManifest,
    SourceRecord,
    quantised_manifest_path,
    write_quantised,
)
from tinyedge.ops import descriptor_of, operator_macs
from tinyedge.parity.network import NetworkParity, compare_network
from tinyedge.parity.simulated_layers import simulate_layers
from tinyedge.quantisation.bias_correction import reference_of_means
from tinyedge.quantisation.calibration import draw_apart
from tinyedge.quantisation.calibration_data import CalibrationData
from tinyedge.quantisation.deployable import check_deployable
from tinyedge.quantisation.float_executor import FloatExecutor, Values
from tinyedge.quantisation.mixed_precision import has_int16x8_kernel
from tinyedge.quantisation.noise import reference_of
from tinyedge.quantisation.observers import RangeChoice, choose_ranges, min_max_ranges, observed_anew
from tinyedge.quantisation.post_training import quantise_graph
from tinyedge.quantisation.preconditioning import precondition
from tinyedge.quantisation.preparation import prepare
from tinyedge.quantisation.qat import Views, finish, image_views
from tinyedge.quantisation.sensitivity import choose_int16x8, measure_sensitivity
from tinyedge.tflite.graph import Graph, Operator, Tensor
from tinyedge.tflite.reader import read_any_tflite
from tinyedge.tflite.writer import tflite_bytes

_SENSITIVITY_SAMPLES = 64
_PARITY_MACS = 5.2e9  # Some seconds of one core in TFLite Micro.
_FEWEST_PARITY_SAMPLES = 16


@dataclass(frozen=True)
class Source:
    """What is quantised.

    Attributes:
        name: Of its file, or of its class.
        sha256: Of the file; None of a module.
        runtime: What runs it.
        classes: Class names by index of the output; empty where they are not known.
        command: That quantises it; None from Python.
    """

    name: str
    sha256: str | None
    runtime: str
    classes: tuple[str, ...] = ()
    command: str | None = None


@dataclass(frozen=True)
class QuantisedModel:
    """A quantised network, its manifest, and how it compares with the float one.

    Attributes:
        path: The .tflite file.
        manifest_path: What is known of it, beside it.
        bytes: The file's size.
        manifest: The same, read.
        parity: What each stage makes of the same samples.
        failures: One sentence a gate that does not hold.
    """

    path: Path
    manifest_path: Path
    bytes: int
    manifest: QuantisedManifest
    parity: NetworkParity
    failures: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the record as a JSON object."""
        return {
            "path": str(self.path),
            "bytes": self.bytes,
            **dataclasses.asdict(self.manifest),
            "failures": list(self.failures),
        }


def quantise_model(
    source: Source,
    network: SourceNetwork,
    data: CalibrationData,
    out: Path,
    options: QuantiseOptions,
    announce: Callable[[str], None] = silent,
    detail: Callable[[str], None] = silent,
) -> QuantisedModel:
    """Quantise a network and write the file and its manifest. The same arguments give the same bytes.

    Args:
        source: Where the network comes from.
        network: From `read_network`.
        data: Samples of its inputs.
        out: The .tflite file.
        options: How.
        announce: Called with the name of each step when it begins.
        detail: Called with how far a long step is.

    Raises:
        ConfigError: It is to be trained and has no weights.
        ModelError: The network holds an operator that cannot be quantised.
        DataError: A sample is broken.
    """
    announce("calibration samples")
    drawn = draw_apart(data.count, options.calibration_count, options.seed)
    seen, unseen = (_values(data, positions) for positions in (drawn.seen, drawn.unseen))
    graph = prepare(network.graph)
    if options.qat_epochs > 0 and not any(descriptor_of(operator).weights for operator in graph.operators):
        raise ConfigError(f"{source.name} has no weights to train: leave out --qat")
    announce("equalisation")
    teacher = FloatExecutor(graph)
    means = reference_of_means(teacher, seen)
    others = reference_of(teacher, unseen)
    form = precondition(graph, seen, means, others)
    graph = form.graph
    announce("activation ranges")
    executor = FloatExecutor(graph)
    extremes = min_max_ranges(executor, tuple(values[form.observed :] for values in seen), form.extremes)
    choice = choose_ranges(executor, seen, means, others, extremes)
    few = drawn.has_unseen and len(drawn.seen) < options.calibration_count
    if few:  # Each of them may hold an extreme, and nothing is left to choose.
        choice, means = observed_anew(choice, executor, seen, unseen), means.and_others(others)
    int16x8 = _choose_int16x8(executor, choice, unseen, options, announce)
    announce("INT8" if options.precision == "int8" else options.precision)
    quantised, qat = quantise_graph(graph, choice, means, int16x8), None
    if options.qat_epochs > 0:
        announce("QAT")
        finished = finish(
            quantised,
            teacher,
            _views(data, drawn.seen, seen),
            len(seen[0]),
            unseen,
            epochs=options.qat_epochs,
            seed=options.seed,
            progress=lambda step, steps, sqnr_db: detail(f"step {step}/{steps}, {sqnr_db:.1f} dB"),
        )
        before, after = (round(figure, 2) for figure in finished.sqnr_db)
        quantised, qat = finished.graph, Qat(options.qat_epochs, before, after)
    content = tflite_bytes(quantised)
    announce("parity")
    macs = sum(map(operator_macs, graph.operators))
    count = max(_FEWEST_PARITY_SAMPLES, int(_PARITY_MACS / max(macs, 1)))
    with tempfile.TemporaryDirectory(prefix="tinyedge-quantise-") as folder:
        draft = Path(folder, out.name)  # What is interrupted leaves no file without its manifest.
        draft.write_bytes(content)
        parity = compare_network(
            network,
            network.graph,
            draft,
            [values[:count].numpy() for values in unseen],
            unseen=drawn.has_unseen and not few,
            source=source.runtime,
            gates=options.gates,
        )
        check, written, file = check_deployable(draft), read_any_tflite(draft), record_file(draft)
    if options.layers:
        announce("layers")
        parity = dataclasses.replace(parity, layers=simulate_layers(form, choice, means, unseen, int16x8))
    figures = {name: round(figure, 2) for name, figure in choice.sqnr_db.items()}
    calibrated = data.count if few else len(drawn.seen)
    manifest = QuantisedManifest(
        source=SourceRecord(source.name, source.sha256, (*network.notes, *data.notes)),
        inputs=tuple(map(_spec, written.inputs)),
        outputs=tuple(map(_spec, written.outputs)),
        preprocessing=_preprocessing(data),
        classes=source.classes,
        form=Form(form.name, {name: round(figure, 2) for name, figure in form.sqnr_db.items()}),
        calibration=Calibration(data.origin, calibrated, options.seed, choice.name, figures),
        precision=_describe_precision(graph, options.precision, int16x8),
        qat=qat,
        operators=written.histogram(),
        parity=parity.to_json(),
        file=file,
        versions=package_versions(),
        command=source.command,
    )
    write_quantised(out, content, manifest)
    failures = (*check.failures, *parity.failures())
    return QuantisedModel(out, quantised_manifest_path(out), len(content), manifest, parity, failures)


def _values(data: CalibrationData, positions: np.ndarray) -> Values:
    return tuple(torch.from_numpy(values) for values in data.read(positions))


def _views(data: CalibrationData, positions: np.ndarray, seen: Values) -> Views:
    """Return what a finish trains on: crops and flips of images, other samples as they are."""
    pixels = data.pixels(positions)
    if pixels is None or pixels.shape[-1] not in (1, 3) or data.normalisation is None:
        return lambda chosen, _: tuple(values[chosen] for values in seen)
    images = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
    return image_views(images, data.origin, data.normalisation.mean, data.normalisation.std)


def _choose_int16x8(
    executor: FloatExecutor,
    choice: RangeChoice,
    unseen: Values,
    options: QuantiseOptions,
    announce: Callable[[str], None],
) -> frozenset[Operator]:
    """Return the operators that run in 16x8."""
    graph = executor.graph
    if options.precision == "mixed":
        announce("sensitivity")
        few = tuple(values[:: -(-len(values) // _SENSITIVITY_SAMPLES)] for values in unseen)
        return choose_int16x8(graph, measure_sensitivity(executor, choice.ranges, choice.min_max, few))
    return frozenset(filter(has_int16x8_kernel, graph.operators)) if options.precision == "16x8" else frozenset()


def _describe_precision(graph: Graph, name: str, int16x8: frozenset[Operator]) -> Precision:
    share = sum(map(operator_macs, int16x8)) / max(sum(map(operator_macs, graph.operators)), 1)
    described = tuple(
        Int16x8Operator(position, operator.output.name, operator.op)
        for position, operator in enumerate(graph.operators)
        if operator in int16x8
    )
    return Precision(name, round(share, 4), described)


def _spec(tensor: Tensor) -> TensorSpec:
    quantised = tensor.quantisation is not None
    return TensorSpec(
        tensor.name, tensor.shape, tensor.q.scale if quantised else None, tensor.q.zero_point if quantised else None
    )


def _preprocessing(data: CalibrationData) -> Preprocessing | None:
    normalisation = data.normalisation
    if normalisation is None:
        return None
    order = colour_order(normalisation.mean)
    return Preprocessing(normalisation.mean, normalisation.std, order, FORMULA, normalisation.white_level)
