"""Runs every stage of an export on the same images and draws up its parity report."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from tinyedge.conversion.fold import Deployable
from tinyedge.data.dataset import ImageDataset
from tinyedge.errors import ToolMissing, UnsupportedOpError
from tinyedge.manifest.manifest import ExportManifest
from tinyedge.manifest.preprocess import normalise_images, quantise_images
from tinyedge.parity.distance import neighbour_overlap
from tinyedge.parity.gate_limits import Gates
from tinyedge.parity.layer_names import name_layers
from tinyedge.parity.layers import LayerParity, compare_layers, first_difference
from tinyedge.parity.parity import (
    FloatParity,
    NeighbourParity,
    ParityReport,
    compare_bits,
    compare_float,
    compare_int8,
    compare_runtimes,
    compare_top1,
    dequantise,
)
from tinyedge.plots.png import pictures_of
from tinyedge.runtimes.aot import AotRuntime
from tinyedge.runtimes.apart import ApartRuntime
from tinyedge.runtimes.litert_session import run_tflite
from tinyedge.runtimes.onnx import run_onnx
from tinyedge.tflite.model import Model

_FEW_IMAGES = 64  # For outputs value by value, and for layers.
_FAULT_IMAGES = 8
_NEIGHBOUR_IMAGES = 1000
_NEIGHBOURS = 10
# Multiply-accumulates, so that a report takes about as long for any network and has the same images on any machine:
# some five seconds of one core for each of LiteRT's two and for TFLite Micro, one or two for the others.
_TOP1_MACS = 170e9
_FLOAT_MACS = 8.7e9
_MICRO_MACS = 5.2e9
_MOST_IMAGES = 10_000
_RUNTIMES = ("pytorch", "onnx", "tflite", "litert-int8", "tflm-int8", "aot-int8")


@dataclass(frozen=True)
class ParityImages:
    """Images of one split in a drawn order, so that fewer of them are the first ones.

    Attributes:
        split: "test", or "train" where there is no test split.
        positions: (n,) in the split.
        pixels: (n, C, H, W) uint8.
        normalised: (n, H, W, C) float32.
        labels: (n,) int of test images that have labels, else None.
        macs: Multiply-accumulates of the encoder for one image.
    """

    split: str
    positions: np.ndarray
    pixels: np.ndarray
    normalised: np.ndarray
    labels: np.ndarray | None
    macs: int

    @property
    def first(self) -> np.ndarray:
        """The images that PyTorch and ONNX Runtime run too, (m, H, W, C) float32, normalised."""
        return self.normalised[: self.affordable(_FLOAT_MACS)]

    def affordable(self, macs: float) -> int:
        """Return how many images a number of multiply-accumulates pays for: at least 64 if there are, else hundreds."""
        return min(len(self.positions), max(_FEW_IMAGES, int(macs / self.macs) // 100 * 100))


def draw_parity_images(dataset: ImageDataset, macs: int, classifier: bool) -> ParityImages:
    """Draw the images of a report: all test images that a classifier can run in reasonable time, fewer for features.

    Args:
        dataset: Its test split is used, or the train split where there is none.
        macs: Multiply-accumulates of the encoder for one image.
        classifier: Whether there will be classes to compare.
    """
    images = dataset.train if dataset.test is None else dataset.test
    most = min(_MOST_IMAGES, max(_NEIGHBOUR_IMAGES, int(_TOP1_MACS / macs))) if classifier else _NEIGHBOUR_IMAGES
    positions = np.random.default_rng(0).permutation(len(images))[:most]
    chosen = torch.from_numpy(positions)
    pixels = images.images[chosen].numpy()
    labelled = dataset.test is not None and dataset.test.labels is not None
    return ParityImages(
        split="train" if dataset.test is None else "test",
        positions=positions,
        pixels=pixels,
        normalised=normalise_images(pixels, dataset.mean, dataset.std),
        labels=images.labels[chosen].numpy() if labelled and images.labels is not None else None,
        macs=macs,
    )


@dataclass(frozen=True)
class ExportedFiles:
    """The files that are compared.

    Attributes:
        onnx: The ONNX model.
        tflite: The float TFLite model.
        int8: The INT8 model; None where none was written.
    """

    onnx: Path
    tflite: Model
    int8: Model | None


def compare_stages(
    files: ExportedFiles,
    manifest: ExportManifest,
    network: Deployable,
    images: ParityImages,
    reference: np.ndarray,
    tflite: np.ndarray,
    gates: Gates,
) -> tuple[ParityReport, np.ndarray | None]:
    """Run every stage and compare it with the one before, and all of them with the float TFLite file.

    Args:
        files: What was exported.
        manifest: How to feed the INT8 model.
        network: The folded network that the files were made from.
        images: What every stage runs.
        reference: (m, K) float32: the trained PyTorch network's outputs on `images.first`.
        tflite: (n, K) float32: the float TFLite file's on all of them.
        gates: What the export has to hold.

    Returns:
        The report, and the INT8 file's outputs on the images as reals, (n, K) float64, where there is one.

    Raises:
        ModelError: TFLite Micro or the compiler refuses the INT8 model for another reason than an unknown operator.
    """
    classifier = manifest.kind == "classifier"
    few = images.normalised[:_FEW_IMAGES]
    # They leave Python while they run, but for TFLite Micro, which has a process of its own.
    with ThreadPoolExecutor(len(_RUNTIMES)) as pool:
        running = _run_all(pool, files, manifest, images)
        layers: tuple[LayerParity, ...] = ()
        if files.int8 is not None:
            codes = quantise_images(images.pixels[: len(few)], manifest)
            names = name_layers(files.tflite.any_graph(), network)
            layers = compare_layers(files.tflite, files.int8, few, codes, names)
    outputs = {"pytorch": reference, "tflite": tflite, **{name: future.result() for name, future in running.items()}}
    outputs = {runtime: outputs[runtime] for runtime in _RUNTIMES if runtime in outputs}
    onnx = outputs["onnx"]
    assert isinstance(onnx, np.ndarray)
    report = ParityReport(
        split=images.split,
        images=len(few),
        torch_onnx=compare_float(reference[: len(few)], onnx[: len(few)]),
        onnx_tflite=compare_float(onnx[: len(few)], tflite[: len(few)]),
        runtimes=compare_runtimes(outputs, images.labels) if classifier else (),
        layers=layers,
        gates=gates,
    )
    report = _locate_float_faults(report, files, network, images)
    if files.int8 is None:
        return report, None
    litert, tflm, aot = outputs["litert-int8"], outputs["tflm-int8"], outputs["aot-int8"]
    assert isinstance(litert, np.ndarray)
    real = dequantise(litert, manifest.output)
    report = replace(
        report,
        float_int8=compare_int8(
            reference[: len(few)], litert, manifest.output, litert[:0] if isinstance(tflm, str) else tflm
        ),
        top1=compare_top1(tflite, litert, images.labels) if classifier and images.labels is not None else None,
        bit_exact=compare_bits(tflm, aot, images.positions),
        neighbours=_compare_neighbours(tflite, real, classifier),
    )
    return report, real


def plot_report(report: ParityReport, reference: np.ndarray, int8_outputs: np.ndarray, folder: Path) -> None:
    """Draw a parity report into a folder, or log why not: an export is whole without its pictures.

    Args:
        report: With layers.
        reference: (n, K) float outputs.
        int8_outputs: (n, K) INT8 outputs as reals.
        folder: For `layers.png` and `outputs.png`.
    """
    with pictures_of("the export"):
        from tinyedge.plots.parity import plot_layers, plot_outputs

        plot_layers(report.layers, report.worst_layers, folder / "layers.png")
        plot_outputs(reference, int8_outputs, folder / "outputs.png")


def _run_all(
    pool: ThreadPoolExecutor, files: ExportedFiles, manifest: ExportManifest, images: ParityImages
) -> dict[str, Future[np.ndarray | str]]:
    """Start ONNX Runtime and the INT8 file's runtimes on the first n images: outputs (n, K), or why there are none."""
    running: dict[str, Future[np.ndarray | str]] = {}
    if files.int8 is not None:
        codes = quantise_images(images.pixels, manifest)
        micro = codes[: images.affordable(_MICRO_MACS)]
        running["tflm-int8"] = pool.submit(_run_micro, _run_tflm, files.int8, micro)
        running["litert-int8"] = pool.submit(run_tflite, files.int8, codes)
        running["aot-int8"] = pool.submit(_run_micro, _run_aot, files.int8, micro)
    running["onnx"] = pool.submit(run_onnx, files.onnx, images.first)
    return running


def _run_micro(run: Callable[[Model, np.ndarray], np.ndarray], model: Model, codes: np.ndarray) -> np.ndarray | str:
    """Run one of the microcontroller's runtimes on this machine, or say why it cannot."""
    try:
        return run(model, codes).reshape(len(codes), -1)
    except (ToolMissing, UnsupportedOpError) as error:
        return str(error)


def _run_tflm(model: Model, codes: np.ndarray) -> np.ndarray:
    """Run TFLite Micro in a process of its own: its Python package keeps every other thread from running."""
    with ApartRuntime("tflm", model) as runtime:
        return runtime.run(codes)


def _run_aot(model: Model, codes: np.ndarray) -> np.ndarray:
    return AotRuntime(model).run(codes)


def _compare_neighbours(reference: np.ndarray, real: np.ndarray, classifier: bool) -> NeighbourParity | None:
    images = min(len(reference), _NEIGHBOUR_IMAGES)
    if images < 2 * _NEIGHBOURS:
        return None
    return NeighbourParity(
        of="logits" if classifier else "feature",
        images=images,
        neighbours=_NEIGHBOURS,
        overlap=100 * neighbour_overlap(reference[:images], real[:images], _NEIGHBOURS),
        chance=100 * _NEIGHBOURS / (images - 1),
    )


def _locate_float_faults(
    report: ParityReport, files: ExportedFiles, network: Deployable, images: ParityImages
) -> ParityReport:
    """Name the first differing layer in each float comparison whose gate does not hold."""
    limit = report.gates.float_difference
    stages: dict[str, FloatParity] = {"ONNX": report.torch_onnx, "TFLite": report.onnx_tflite}
    if all(parity.relative <= limit for parity in stages.values()):
        return report
    layers = first_difference(network, files.onnx, files.tflite, images.normalised[:_FAULT_IMAGES], limit)
    torch_onnx, onnx_tflite = (
        parity if parity.relative <= limit else replace(parity, first_layer=layers.get(stage, ""))
        for stage, parity in stages.items()
    )
    return replace(report, torch_onnx=torch_onnx, onnx_tflite=onnx_tflite)
