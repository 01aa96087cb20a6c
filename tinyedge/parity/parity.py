"""How far apart the stages of an export are, PyTorch, ONNX, float TFLite and INT8, and the gates that they pass."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from tinyedge.errors import ModelError
from tinyedge.manifest.manifest import TensorSpec
from tinyedge.parity.distance import EXACT_DB, cosine, relative_difference, sqnr_db
from tinyedge.parity.gate_limits import Gates
from tinyedge.parity.layers import LayerParity

SCHEMA = 3
WORST_LAYERS = 5

_FLOAT_HINT = "compare the versions of `tinyedge doctor` with requirements.lock"
_INT8_HINT = "try --precision mixed, --qat, or more --calibration images"


@dataclass(frozen=True)
class FloatParity:
    """Two float stages on the same images.

    Attributes:
        max_abs: The largest difference of an output.
        relative: That, over the largest output's magnitude or 1, whichever is greater: what the gate is held against.
        cosine: Of all outputs as one vector.
        first_layer: Where a gate fails, the first layer that differs; "" where none does by itself.
    """

    max_abs: float
    relative: float
    cosine: float
    first_layer: str = ""


@dataclass(frozen=True)
class Int8Parity:
    """The float network against the INT8 file.

    Attributes:
        cosine: Of all outputs as one vector.
        sqnr_db: Power of the outputs over the power of their error, in decibels.
        tflm_images: How many images TFLite Micro's interpreter ran; 0 where it did not.
        tflm_max_steps: Its largest difference from LiteRT there, in steps of the output's scale; None where not run.
    """

    cosine: float
    sqnr_db: float
    tflm_images: int
    tflm_max_steps: int | None


@dataclass(frozen=True)
class Top1Parity:
    """The classifiers on labelled test images: the float file against the INT8 file, in LiteRT.

    Attributes:
        images: How many.
        float_top1: Per cent right in float32.
        int8_top1: Per cent right in INT8.
        drop: The difference in points: what the gate is held against.
        lost: Images that only the float network has right.
        won: Images that only the INT8 network has right.
    """

    images: int
    float_top1: float
    int8_top1: float
    drop: float
    lost: int
    won: int


@dataclass(frozen=True)
class RuntimeParity:
    """What one runtime says of the test images' classes.

    Attributes:
        runtime: "pytorch", "onnx", "tflite", "litert-int8", "tflm-int8" or "aot-int8" (our C on this machine).
        images: How many it ran, the first of the drawn order; 0 where it did not run.
        top1: Per cent right; None without labels, or where it did not run.
        float_top1: Float TFLite's on the same images, for runtimes that are slow run fewer.
        agreement: Per cent of these images in which its class is float TFLite's; None where it did not run.
        missing: Why it did not run; None where it did.
    """

    runtime: str
    images: int
    top1: float | None
    float_top1: float | None
    agreement: float | None
    missing: str | None = None


@dataclass(frozen=True)
class BitParity:
    """TFLite Micro's interpreter against our C, both on this machine: they have to be equal.

    Attributes:
        images: How many both ran; 0 where one of them is missing.
        differing_values: How many output values differ; None where they were not compared.
        first_image: Position in its split of the first image in which they differ; None without one.
    """

    images: int
    differing_values: int | None
    first_image: int | None


@dataclass(frozen=True)
class NeighbourParity:
    """Whether INT8 puts the same images side by side.

    Attributes:
        of: "feature", or "logits" of a classifier: folding leaves it no feature.
        images: How many, each the others' candidate.
        neighbours: How many nearest images by cosine are compared.
        overlap: Per cent of them that float and INT8 have in common, the mean over the images.
        chance: What two unrelated orders would have in common, per cent.
    """

    of: str
    images: int
    neighbours: int
    overlap: float
    chance: float


@dataclass(frozen=True)
class ParityReport:
    """All comparisons of one export; those of absent stages are None or empty.

    Attributes:
        split: Of the images, "test" or "train".
        images: How many the comparisons of outputs and of layers ran on.
        torch_onnx: The unfolded PyTorch network against ONNX Runtime.
        onnx_tflite: ONNX Runtime against float TFLite.
        float_int8: The float network against the INT8 file.
        top1: Accuracy, where the model is a classifier and there are labelled test images.
        runtimes: Every runtime's, where the model is a classifier.
        bit_exact: TFLite Micro against our C.
        neighbours: Of the outputs; None for fewer than 20 images.
        layers: Of every operator of the INT8 file.
        gates: What the export has to hold.
    """

    split: str
    images: int
    torch_onnx: FloatParity
    onnx_tflite: FloatParity
    float_int8: Int8Parity | None = None
    top1: Top1Parity | None = None
    runtimes: tuple[RuntimeParity, ...] = ()
    bit_exact: BitParity | None = None
    neighbours: NeighbourParity | None = None
    layers: tuple[LayerParity, ...] = ()
    gates: Gates = field(default_factory=Gates)

    @property
    def worst_layers(self) -> tuple[LayerParity, ...]:
        """The five of the lowest ratio, lowest first, among those that round: copies have their input's."""
        rounding = [layer for layer in self.layers if layer.own_sqnr_db < EXACT_DB]
        return tuple(sorted(rounding, key=lambda layer: layer.sqnr_db)[:WORST_LAYERS])

    @property
    def culprit(self) -> LayerParity | None:
        """The layer that makes most noise of its own, relative to what it puts out.

        Not the one after which the ratio has fallen most: from the input's 48 dB to what any layer leaves is the
        longest fall of a sound network, and a later layer may only pass on, amplified, what an earlier one did.
        """
        return min(self.layers, key=lambda layer: layer.own_sqnr_db, default=None)

    def failures(self) -> list[str]:
        """Return one sentence a gate that does not hold: what, by how much, in which layer, and what to try.

        A drop of accuracy counts only if chance does not explain it: for a network that is as good, `lost - won` has a
        standard deviation of sqrt(lost + won), and two of them are allowed.
        """
        limit = self.gates.float_difference
        failures = []
        for stages, parity in (("PyTorch and ONNX", self.torch_onnx), ("ONNX and TFLite", self.onnx_tflite)):
            if not parity.relative <= limit:
                where = f", first in layer {parity.first_layer}" if parity.first_layer else ""
                failures.append(
                    f"{stages} differ by {parity.relative:.1e} of the output{where}, over the limit of {limit:.0e}: "
                    f"{_FLOAT_HINT}"
                )
        top1, limit = self.top1, self.gates.top1_drop
        culprit = self.culprit
        where = "" if culprit is None else f"; most noise comes from layer {describe_loss(culprit)}"
        near = self.neighbours
        if top1 is None and near and near.overlap - near.chance < self.gates.neighbours * (100 - near.chance):
            failures.append(
                f"INT8 and float have {near.overlap:.1f} % of the {near.neighbours} nearest of {near.images} images in "
                f"common, and chance gives {near.chance:.1f} %{where}; {_INT8_HINT}"
            )
        if top1 and top1.drop > limit and top1.lost - top1.won > 2 * math.sqrt(top1.lost + top1.won):
            failures.append(
                f"INT8 has {top1.int8_top1:.2f} % of {top1.images} test images right, float {top1.float_top1:.2f} %: "
                f"a drop of {top1.drop:.2f} points, over the limit of {limit:.1f}{where}; {_INT8_HINT}"
            )
        if self.bit_exact is not None and self.bit_exact.differing_values:
            failures.append(
                f"TFLite Micro and our C differ in {self.bit_exact.differing_values} output values on "
                f"{self.bit_exact.images} images, first on {self.split} image {self.bit_exact.first_image}: a "
                "defect of tinyedge, report it with the INT8 file"
            )
        return failures

    def remarks(self) -> list[str]:
        """Return one sentence for each gate that cannot tell much from the images that there are."""
        top1, limit = self.top1, self.gates.top1_drop
        if top1 is None or 100 / top1.images <= limit:
            return []
        return [
            f"one of {top1.images} test images is {100 / top1.images:.1f} points of top-1, more than the gate's "
            f"{limit:.1f}: give more test images to judge what INT8 costs"
        ]

    def summary(self) -> dict[str, Any]:
        """Return the figures as a JSON object, without the layers but the worst."""
        figures = dataclasses.asdict(self)
        del figures["layers"]
        figures["runtimes"] = list(figures["runtimes"])  # As JSON gives it back.
        figures["worst_layers"] = [dataclasses.asdict(layer) for layer in self.worst_layers]
        figures["remarks"] = self.remarks()
        figures["culprit"] = None if self.culprit is None else dataclasses.asdict(self.culprit)
        return figures

    def to_json(self) -> dict[str, Any]:
        """Return everything as the JSON object of `parity.json`, but for the failures."""
        layers = [dataclasses.asdict(layer) for layer in self.layers]
        return {"schema": SCHEMA, **self.summary(), "layers": layers}


def describe_loss(layer: LayerParity) -> str:
    """Return what a reader is told of a layer: `36 stage3.0 mixer query (FULLY_CONNECTED): 31.2 dB -> 19.8 dB`."""
    return f"{layer.label}: {layer.input_sqnr_db:.1f} dB -> {layer.sqnr_db:.1f} dB"


def compare_float(reference: np.ndarray, other: np.ndarray) -> FloatParity:
    """Compare two float outputs (n, K)."""
    max_abs = float(np.abs(reference - other).max())
    return FloatParity(max_abs, relative_difference(reference, other), cosine(reference, other))


def compare_int8(reference: np.ndarray, codes: np.ndarray, output: TensorSpec, tflm_codes: np.ndarray) -> Int8Parity:
    """Compare float outputs with int8 ones.

    Args:
        reference: (n, K) float32.
        codes: (m, K) int8, LiteRT's; the first n images are the reference's.
        output: The INT8 model's output.
        tflm_codes: (k, K) int8, TFLite Micro's on the first k images; k is 0 where it did not run.
    """
    real = dequantise(codes[: len(reference)], output)
    steps = np.abs(codes[: len(tflm_codes)].astype(np.int32) - tflm_codes)
    return Int8Parity(
        cosine=cosine(reference, real),
        sqnr_db=sqnr_db(reference, real),
        tflm_images=len(tflm_codes),
        tflm_max_steps=int(steps.max()) if len(tflm_codes) else None,
    )


def compare_top1(float_outputs: np.ndarray, int8_outputs: np.ndarray, labels: np.ndarray) -> Top1Parity:
    """Compare two classifiers' outputs (n, C) on labels (n,)."""
    float_right = float_outputs.argmax(axis=1) == labels
    int8_right = int8_outputs.argmax(axis=1) == labels
    lost, won = int((float_right & ~int8_right).sum()), int((int8_right & ~float_right).sum())
    return Top1Parity(
        images=len(labels),
        float_top1=100 * float(float_right.mean()),
        int8_top1=100 * float(int8_right.mean()),
        drop=100 * (lost - won) / len(labels),
        lost=lost,
        won=won,
    )


def compare_runtimes(outputs: Mapping[str, np.ndarray | str], labels: np.ndarray | None) -> tuple[RuntimeParity, ...]:
    """Compare each runtime's classes with float TFLite's.

    Args:
        outputs: By runtime, (m, C) of the first m images, or why there are none; "tflite" has the most.
        labels: (n,) int, where there are labels.
    """
    reference = outputs["tflite"]
    assert isinstance(reference, np.ndarray)
    rows = []
    for runtime, found in outputs.items():
        if isinstance(found, str):
            rows.append(RuntimeParity(runtime, 0, None, None, None, missing=found))
            continue
        classes, wanted = found.argmax(axis=1), reference[: len(found)].argmax(axis=1)
        top1 = float_top1 = None
        if labels is not None:
            right = labels[: len(found)]
            top1, float_top1 = 100 * float((classes == right).mean()), 100 * float((wanted == right).mean())
        agreement = 100 * float((classes == wanted).mean())
        rows.append(RuntimeParity(runtime, len(found), top1, float_top1, agreement))
    return tuple(rows)


def compare_bits(tflm: np.ndarray | str, aot: np.ndarray | str, positions: np.ndarray) -> BitParity:
    """Compare the int8 outputs (n, K) of TFLite Micro and of our C, or say that there are none.

    Args:
        tflm: TFLite Micro's, or why there are none.
        aot: Our C's, likewise.
        positions: (m,) positions in their split of the images, m at least n.
    """
    if isinstance(tflm, str) or isinstance(aot, str):
        return BitParity(0, None, None)
    differs = tflm != aot
    rows = np.flatnonzero(differs.any(axis=1))
    return BitParity(len(tflm), int(differs.sum()), int(positions[rows[0]]) if len(rows) else None)


def dequantise(codes: np.ndarray, tensor: TensorSpec) -> np.ndarray:
    """Return the real values, float64, of int8 codes.

    Raises:
        ModelError: The tensor is not quantised.
    """
    if tensor.scale is None or tensor.zero_point is None:
        raise ModelError(f"tensor '{tensor.name}' has no scale and zero point: export with --int8")
    real: np.ndarray = (codes.astype(np.float64) - tensor.zero_point) * tensor.scale
    return real


def run_torch(network: nn.Module, images: np.ndarray) -> np.ndarray:
    """Run normalised images (n, H, W, C) float32 through a PyTorch network; return (n, K) float32."""
    with torch.inference_mode():
        # The channels stay last in memory, which is faster on a CPU.
        batches = torch.from_numpy(images).permute(0, 3, 1, 2).split(64)
        return torch.cat([network(batch) for batch in batches]).numpy()
