"""What a benchmark feeds to a model: random values, a file, or the test images of a run."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyedge.errors import ConfigError
from tinyedge.tflite.graph import Tensor


@dataclass(frozen=True)
class LabelledInputs:
    """Test images in the model's own quantisation.

    Attributes:
        values: (n, *input_shape[1:]) int8.
        labels: (n,) int64 class indices.
    """

    values: np.ndarray
    labels: np.ndarray


def random_inputs(tensor: Tensor, count: int, seed: int) -> np.ndarray:
    """Return (count, *shape[1:]) int8, uniform over the whole range, -128 and 127 included."""
    generator = np.random.default_rng(seed)
    return generator.integers(-128, 128, size=(count, *tensor.shape[1:]), dtype=np.int8)


def read_inputs(path: Path, tensor: Tensor) -> np.ndarray:
    """Return the array of a .npy file after checking that the model can take it.

    Args:
        path: A .npy file that holds (n, *shape[1:]) int8.
        tensor: The model's input.

    Raises:
        ConfigError: The file is missing, no .npy file, or its shape or type is not the model's.
    """
    try:
        with path.open("rb") as stream:
            values = np.lib.format.read_array(stream, allow_pickle=False)
    except FileNotFoundError as error:
        raise ConfigError(f"no such file: {path}; --input takes a .npy file") from error
    except (OSError, ValueError, EOFError) as error:
        raise ConfigError(f"{path} is not a .npy file; write one with numpy.save") from error
    expected = tensor.shape[1:]
    if values.dtype != np.int8 or values.ndim == 0 or values.shape[1:] != expected or len(values) == 0:
        shape = ", ".join(str(size) for size in ("n", *expected))
        raise ConfigError(
            f"{path} holds {values.dtype} of shape {values.shape}, but the model takes int8 of shape ({shape}); "
            "quantise with the scale and zero point of export.json"
        )
    return np.ascontiguousarray(values)


def first_per_class_round(labels: np.ndarray, count: int) -> np.ndarray:
    """Return indices of `count` images that go round the classes, so that a small sample is balanced.

    Args:
        labels: (n,) class indices.
        count: How many; at most n are returned.

    Returns:
        (min(count, n),) int64 indices, the same for the same labels.
    """
    rank_in_class = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        rank_in_class[members] = np.arange(len(members))
    order: np.ndarray = np.lexsort((labels, rank_in_class))
    return order[:count]
