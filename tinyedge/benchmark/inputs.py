"""What a benchmark feeds to a model: random values, a file, or the test images of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from tinyedge.errors import ConfigError
from tinyedge.tflite.frames import empty_frames, frame_shape, parts_of
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


def read_inputs(path: Path, tensors: Sequence[Tensor]) -> np.ndarray:
    """Return the frames that a file holds after checking that the model can take them.

    Args:
        path: A .npy file of (n, *shape[1:]) values of the only input, or a .npz file with such an array for each input:
            by its name, or in their order.
        tensors: The model's inputs.

    Raises:
        ConfigError: The file is missing, of another format, or its shapes or types are not the model's.
    """
    arrays = _read_arrays(path)
    if len(arrays) != len(tensors):
        names = ", ".join(f"'{tensor.name}'" for tensor in tensors)
        raise ConfigError(
            f"{path} holds {len(arrays)} array{'s' if len(arrays) != 1 else ''}, but the model has "
            f"{len(tensors)} inputs ({names}); write one of each with numpy.savez"
        )
    chosen = [arrays.get(tensor.name, value) for tensor, value in zip(tensors, arrays.values(), strict=True)]
    for tensor, values in zip(tensors, chosen, strict=True):
        _check_values(path, tensor, values)
    if len({len(values) for values in chosen}) != 1:
        raise ConfigError(
            f"the arrays of {path} have {', '.join(str(len(v)) for v in chosen)} entries; give equally many"
        )
    frames = empty_frames(len(chosen[0]), tensors)
    for part, values in zip(parts_of(frames), chosen, strict=True):
        part[...] = values
    return frames


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file by their names, the only one of a .npy file by none."""
    try:
        with path.open("rb") as stream:
            if path.suffix == ".npz":
                with np.load(stream, allow_pickle=False) as archive:
                    return {name: archive[name] for name in archive.files}
            return {"": np.lib.format.read_array(stream, allow_pickle=False)}
    except FileNotFoundError as error:
        raise ConfigError(f"no such file: {path}; --input takes a .npy file, or .npz for several inputs") from error
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        written = "numpy.savez" if path.suffix == ".npz" else "numpy.save"
        raise ConfigError(f"{path} is not a {path.suffix or '.npy'} file; write one with {written}") from error


def _check_values(path: Path, tensor: Tensor, values: np.ndarray) -> None:
    expected = frame_shape(tensor)
    if values.dtype != tensor.dtype or values.ndim == 0 or values.shape[1:] != expected or len(values) == 0:
        shape = ", ".join(str(size) for size in ("n", *expected))
        advice = "" if tensor.quantisation is None else "; quantise with its scale and zero point"
        raise ConfigError(
            f"{path} holds {values.dtype} of shape {values.shape}, but '{tensor.name}' takes {tensor.dtype} of shape "
            f"({shape}){advice}"
        )


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
