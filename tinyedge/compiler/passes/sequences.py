"""Sequences (batch, steps, channels) that a convolution takes as images of height or width 1."""

import dataclasses

import numpy as np

from tinyedge.tflite.graph import Operator, Tensor

SEQUENCE_RANK = 3


def image_axis(sequence: tuple[int, ...], image: tuple[int, ...]) -> int | None:
    """Whether a sequence is the height (0) or the width (1) of an image; None if it is neither."""
    if len(sequence) != SEQUENCE_RANK:
        return None
    batch, steps, channels = sequence
    if image == (batch, 1, steps, channels):
        return 1
    return 0 if image == (batch, steps, 1, channels) else None


def as_image(tensor: Tensor, axis: int) -> Tensor:
    """A new tensor of a sequence's values, of which it is the height (0) or the width (1)."""
    batch, steps, channels = tensor.shape
    shape = (batch, steps, 1, channels) if axis == 0 else (batch, 1, steps, channels)
    return dataclasses.replace(tensor, name=f"{tensor.name}/image", shape=shape)


def reshape(source: Tensor, output: Tensor, index: int) -> Operator:
    """The operator that makes one of the other, in the place of the file's operator `index`."""
    shape = np.array(output.shape, np.int32)
    constant = Tensor(f"{output.name}/shape", shape.shape, shape.dtype, data=shape)
    return Operator("RESHAPE", (source, constant), (output,), {"new_shape": output.shape}, index=index)
