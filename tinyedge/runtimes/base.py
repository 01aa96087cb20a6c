"""The one face that every runtime shows: frames in, frames out."""

import time
from abc import ABC, abstractmethod
from typing import Protocol

import numpy as np


class Runtime(Protocol):
    """Runs one model on one kind of machine.

    Attributes:
        name: "onnx", "litert", "tflm" or "aot".
    """

    name: str

    @property
    def arena_bytes(self) -> int | None:
        """RAM that the runtime needs besides the stack, or None where it cannot tell."""
        ...

    def run(self, inputs: np.ndarray) -> np.ndarray:
        """Run every input, one after the other, and return every output.

        A model with states goes on from where the last call left it.

        Args:
            inputs: (n, ...) frames of the model's inputs, see `tinyedge.tflite.frames`, in its own quantisation.

        Returns:
            (n, ...) frames of its outputs.
        """
        ...

    def run_timed(self, inputs: np.ndarray) -> tuple[np.ndarray, list[float]]:
        """Run inputs one by one; return the outputs, (n, ...), and the seconds of each inference."""
        ...

    def reset(self) -> None:
        """Give the model's states what they hold before the first inference."""
        ...


class InProcess(ABC):
    """What the runtimes of this process share."""

    @abstractmethod
    def run(self, inputs: np.ndarray) -> np.ndarray:
        """See `Runtime.run`."""

    def run_timed(self, inputs: np.ndarray) -> tuple[np.ndarray, list[float]]:
        """See `Runtime.run_timed`."""
        outputs, times_s = [self.run(inputs[:0])], []
        for index in range(len(inputs)):
            start = time.perf_counter()
            outputs.append(self.run(inputs[index : index + 1]))
            times_s.append(time.perf_counter() - start)
        return np.concatenate(outputs), times_s
