"""What a model takes and gives in one inference, as one NumPy type.

Of a model with one input a frame is an array of that tensor's type and shape; of one with several it is a record with a
field a tensor, so that frames of any model lie in one array, (n, ...), in the order and with the bytes that the device
has.
"""

from collections.abc import Sequence

import numpy as np

from tinyedge.tflite.graph import Tensor


def frame_type(tensors: Sequence[Tensor]) -> np.dtype:
    """Return the type of a frame: a subarray of the only tensor's values, or a packed record of several.

    A tensor's shape is in it without a leading batch of 1. Fields are called as the tensors, with a number where a name
    comes twice.
    """
    parts = [np.dtype((tensor.dtype, frame_shape(tensor))) for tensor in tensors]
    if len(parts) == 1:
        return parts[0]
    names = [tensor.name for tensor in tensors]
    unique = [name if names.count(name) == 1 else f"{name}:{at}" for at, name in enumerate(names)]
    return np.dtype(list(zip(unique, parts, strict=True)))


def frame_shape(tensor: Tensor) -> tuple[int, ...]:
    """Return a tensor's shape without a leading batch of 1."""
    return tensor.shape[1:] if tensor.shape[:1] == (1,) else tensor.shape


def empty_frames(count: int, tensors: Sequence[Tensor]) -> np.ndarray:
    """Return frames to be filled, (count, ...)."""
    return np.empty(count, frame_type(tensors))


def random_frames(tensors: Sequence[Tensor], count: int, seed: int) -> np.ndarray:
    """Return `count` frames of random values.

    Integers are uniform over the whole range of their type, its ends included; floats are normal with a standard
    deviation of 3, so that some are beyond what the model was quantised for.
    """
    generator = np.random.default_rng(seed)
    frames = empty_frames(count, tensors)
    for values in parts_of(frames):
        if values.dtype.kind == "f":
            values[...] = generator.normal(0.0, 3.0, values.shape)
        elif values.dtype.kind == "b":
            values[...] = generator.integers(0, 2, values.shape)
        else:
            limits = np.iinfo(values.dtype)
            values[...] = generator.integers(limits.min, limits.max, values.shape, values.dtype, endpoint=True)
    return frames


def frames_from_bytes(content: bytes, tensors: Sequence[Tensor]) -> np.ndarray:
    """Return the frames, (n, ...), that some bytes hold one after the other."""
    kind = frame_type(tensors)
    return np.frombuffer(content, kind.base).reshape(-1, *kind.shape)


def parts_of(frames: np.ndarray) -> list[np.ndarray]:
    """Return the values of each tensor, (n, ...), of frames."""
    return [frames] if frames.dtype.names is None else [frames[name] for name in frames.dtype.names]


def count_differing(frames: np.ndarray, others: np.ndarray) -> int:
    """Count the values of which the bits differ in two arrays of frames of one type."""
    return sum(
        int((_bits(part) != _bits(other)).any(axis=-1).sum())
        for part, other in zip(parts_of(frames), parts_of(others), strict=True)
    )


def _bits(values: np.ndarray) -> np.ndarray:
    """The bytes of each value along a last axis of their own: a NaN equals itself, 0 is not -0."""
    contiguous = np.ascontiguousarray(values)
    return contiguous.view(np.uint8).reshape(-1, contiguous.itemsize)
