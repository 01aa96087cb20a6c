"""The one face that every runtime shows: int8 in, int8 out."""

from typing import Protocol

import numpy as np


class Runtime(Protocol):
    """Runs one INT8 model on one kind of machine.

    Attributes:
        name: "onnx", "litert", "tflm" or "aot".
    """

    name: str

    @property
    def arena_bytes(self) -> int | None:
        """RAM that the runtime needs besides the stack, or None where it cannot tell."""
        ...

    def run(self, inputs: np.ndarray) -> np.ndarray:
        """Run every input and return every output.

        Args:
            inputs: (n, *input_shape[1:]) int8 in the model's own quantisation.

        Returns:
            (n, *output_shape[1:]) int8.
        """
        ...
