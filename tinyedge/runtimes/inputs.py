"""What every runtime asks of its inputs."""

import numpy as np

from tinyedge.errors import DataError


def as_model_inputs(inputs: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Check a batch against a model's input and make it contiguous.

    Args:
        inputs: (n, *shape[1:]) int8 in the model's own quantisation.
        shape: The model's input shape, the batch of 1 included.

    Returns:
        The same values, C-contiguous.

    Raises:
        DataError: The type or the shape is another one.
    """
    if inputs.dtype != np.int8 or inputs.shape[1:] != shape[1:] or inputs.ndim != len(shape):
        expected = ", ".join(["n", *(str(size) for size in shape[1:])])
        raise DataError(
            f"inputs are {inputs.dtype} of shape {inputs.shape}, the model takes int8 of shape ({expected}): "
            "quantise with the model's scale and zero point and check the layout (images are NHWC)"
        )
    return np.ascontiguousarray(inputs)
