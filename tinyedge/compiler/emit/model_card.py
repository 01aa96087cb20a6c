"""What a program has to know of a model beside its tensors: the classes, and how pixels become the input."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyedge.manifest.beside import manifest_of
from tinyedge.manifest.preprocess import input_table
from tinyedge.tflite.graph import Graph


@dataclass(frozen=True, eq=False)
class ModelCard:
    """What the export beside a model says.

    Attributes:
        classes: The name of each output value; empty where the outputs are no classes.
        mean: Of each channel, red first, for pixels scaled to [0, 1].
        std: Standard deviation of each channel, likewise.
        pixel_values: (C, 256) int8: the input of every pixel value of every channel.
    """

    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    pixel_values: np.ndarray


def read_card(model: Path, graph: Graph) -> ModelCard | None:
    """Return what the manifest beside a .tflite file says of it.

    Args:
        model: The file.
        graph: What is in it.

    Returns:
        None where there is none, or it tells of another file or other tensors.

    Raises:
        ModelError: It is damaged.
    """
    manifest = manifest_of(model)
    if manifest is None or graph.inputs[0].shape[-1] != len(manifest.preprocessing.mean):
        return None
    classes = manifest.classes or ()
    classes = classes if len(classes) == graph.outputs[0].elements else ()
    preprocessing = manifest.preprocessing
    return ModelCard(classes, preprocessing.mean, preprocessing.std, input_table(manifest))
