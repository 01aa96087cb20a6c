"""What every runtime asks of its inputs."""

from collections.abc import Sequence

import numpy as np

from tinyedge.errors import DataError
from tinyedge.tflite.frames import frame_type
from tinyedge.tflite.graph import Tensor


def as_model_inputs(inputs: np.ndarray, tensors: Sequence[Tensor]) -> np.ndarray:
    """Check frames against a model's inputs and make them contiguous.

    Args:
        inputs: (n, ...) frames in the model's own quantisation.
        tensors: The model's inputs.

    Returns:
        The same values, C-contiguous.

    Raises:
        DataError: The type or the shape is another one.
    """
    kind = frame_type(tensors)
    if inputs.dtype != kind.base or inputs.shape[1:] != kind.shape or inputs.ndim != 1 + len(kind.shape):
        expected = ", ".join(["n", *(str(size) for size in kind.shape)])
        raise DataError(
            f"inputs are {inputs.dtype} of shape {inputs.shape}, the model takes {kind.base} of shape ({expected}): "
            "quantise with the model's scale and zero point and check the layout (images are NHWC)"
        )
    return np.ascontiguousarray(inputs)
