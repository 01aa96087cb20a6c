"""Quantisation after training: ranges from calibration images, then INT8 or 16x8."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tinyedge.atomic import atomic_path
from tinyedge.errors import DataError, ModelError
from tinyedge.quantisation.bias_correction import correct_output_bias
from tinyedge.quantisation.calibration import FEWEST_CALIBRATION_IMAGES, draw_calibration
from tinyedge.quantisation.float_executor import FloatExecutor
from tinyedge.quantisation.mixed_precision import has_int16x8_kernel, mix_precision
from tinyedge.quantisation.observers import RangeChoice, choose_ranges
from tinyedge.quantisation.preparation import prepare
from tinyedge.quantisation.quantise import quantise
from tinyedge.tflite.graph import Graph, Operator
from tinyedge.tflite.model import Model
from tinyedge.tflite.writer import tflite_bytes


@dataclass(frozen=True)
class QuantisedFile:
    """A model that was quantised after training.

    Attributes:
        path: The .tflite file.
        bytes: Its size.
        precision: `int8` or `16x8`.
        estimator: What the activations' ranges were chosen by.
        sqnr_db: Of the simulated INT8 output against the float output, on images that the ranges were chosen on.
        calibration_images: How many images set the ranges.
    """

    path: Path
    bytes: int
    precision: str
    estimator: str
    sqnr_db: float
    calibration_images: int

    def to_json(self) -> dict[str, Any]:
        """Return the record as a JSON object."""
        return {**asdict(self), "path": str(self.path)}


def quantise_graph(
    graph: Graph, choice: RangeChoice, calibration: torch.Tensor, int16x8: Collection[Operator] = frozenset()
) -> Graph:
    """Quantise a float graph with the ranges of its activations, its output's mean kept.

    Args:
        graph: Float; it is not changed.
        choice: From `choose_ranges`.
        calibration: (n, H, W, 3) float32, normalised.
        int16x8: The operators that run in 16x8.
    """
    mixed = mix_precision(graph, choice.ranges, choice.min_max, int16x8)
    corrected = correct_output_bias(mixed.graph, mixed.ranges, calibration, mixed.int16)
    return quantise(corrected, mixed.ranges, mixed.int16)


def quantise_file(
    model: Path, images: np.ndarray, out: Path, *, precision: str = "int8", calibration: int = 512, seed: int = 0
) -> QuantisedFile:
    """Quantise a float .tflite or .onnx file; see `tinyedge.quantise` for the arguments and errors."""
    images = np.asarray(images, np.float32)
    graph = _converted(model) if model.suffix == ".onnx" else Model(model).any_graph()
    if graph.inputs[0].dtype != np.float32:
        raise ModelError(f"{model} takes {graph.inputs[0].dtype} and is quantised already: give a float model")
    graph = prepare(graph)
    wanted = tuple(graph.inputs[0].shape[1:])
    if images.shape[1:] != wanted:
        raise DataError(f"the images are {images.shape[1:]} and {model} takes {wanted}: give (n, *{wanted}) float32")
    if len(images) < FEWEST_CALIBRATION_IMAGES:
        raise DataError(f"{len(images)} images are too few to calibrate on: give {FEWEST_CALIBRATION_IMAGES} or more")
    drawn = draw_calibration(len(images), calibration, seed)
    seen, unseen = (torch.from_numpy(images[positions]) for positions in (drawn.seen, drawn.unseen))
    choice = choose_ranges(FloatExecutor(graph), seen, unseen)
    int16x8 = frozenset(filter(has_int16x8_kernel, graph.operators)) if precision == "16x8" else frozenset()
    content = tflite_bytes(quantise_graph(graph, choice, seen, int16x8))
    with atomic_path(out) as temporary:
        temporary.write_bytes(content)
    return QuantisedFile(out, len(content), precision, choice.name, choice.sqnr_db[choice.name], len(seen))


def train_images(run_path: Path, data: str | None = None) -> np.ndarray:
    """Return the train images of a run as its float model takes them, (n, H, W, 3) float32."""
    from tinyedge.manifest.preprocess import normalise_images
    from tinyedge.training.run import load_run

    dataset = load_run(run_path, data).load_dataset()
    return normalise_images(dataset.train.images.numpy(), dataset.mean, dataset.std)


def _converted(model: Path) -> Graph:
    from tinyedge.conversion.canonical import canonical
    from tinyedge.conversion.converter import Converter

    with Converter() as converter:
        return canonical(converter.convert(model), ["input"], ["output"])
