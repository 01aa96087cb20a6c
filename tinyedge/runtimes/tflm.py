"""TFLite Micro's own interpreter on this machine: the golden reference for every INT8 result."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tinyedge.errors import ModelError, UnsupportedOpError
from tinyedge.installation import package_missing
from tinyedge.runtimes.base import InProcess
from tinyedge.runtimes.inputs import as_model_inputs
from tinyedge.runtimes.tflm_interpreter import (
    missing_operator,
    open_interpreter,
    used_arena_bytes,
    used_arena_bytes_32bit,
)
from tinyedge.runtimes.tflm_model import tflm_content
from tinyedge.runtimes.unwritten_rows import clear_unwritten, detection_outputs
from tinyedge.tflite.frames import empty_frames, parts_of
from tinyedge.tflite.model import Model, open_model


class TflmRuntime(InProcess):
    """Runs a model through the interpreter of the PyPI package tflite-micro.

    Dilated convolutions that TensorFlow wrote as blocks run as what they mean (`tinyedge/runtimes/tflm_model.py`).

    Attributes:
        name: "tflm".
    """

    name = "tflm"

    def __init__(self, model: Path | Model) -> None:
        """Load the model.

        Args:
            model: A .tflite file, or its path, of any types that the interpreter takes.

        Raises:
            ModelError: The model cannot be read, or the interpreter refuses it.
            ToolMissing: The package is not installed or there is none for this platform.
        """
        try:
            from tflite_micro.python.tflite_micro import runtime  # noqa: F401 - before the model is read.
        except ImportError as error:
            raise package_missing("tflite-micro") from error
        model = open_model(model)
        graph = model.any_graph()
        self._inputs, self._outputs, self._detections = graph.inputs, graph.outputs, detection_outputs(graph)
        self._model, self._has_states, self._histogram = model, bool(graph.states), graph.histogram()
        self._interpreter = _open_interpreter(model, self._histogram)

    @cached_property
    def arena_bytes(self) -> int | None:
        """What the interpreter used of its arena here, with pointers of 8 bytes; a Cortex-M needs a little less."""
        return used_arena_bytes(self._interpreter)

    @cached_property
    def arena_bytes_32bit(self) -> int | None:
        """What it would use on a machine with pointers of 4 bytes and the same kernels."""
        return used_arena_bytes_32bit(self._interpreter)

    def reset(self) -> None:
        """Forget earlier inputs; see `Runtime.reset`.

        The interpreter's own reset zeroes variables and runs CALL_ONCE no more, so it is another one.
        """
        if self._has_states:
            self._interpreter = _open_interpreter(self._model, self._histogram)

    def run(self, inputs: np.ndarray) -> np.ndarray:
        """Run every input; see `Runtime.run`."""
        batch = as_model_inputs(inputs, self._inputs)
        outputs = empty_frames(len(batch), self._outputs)
        given, made = parts_of(batch), parts_of(outputs)
        for index in range(len(batch)):
            for at, (values, tensor) in enumerate(zip(given, self._inputs, strict=True)):
                self._interpreter.set_input(values[index].reshape(tensor.shape), at)
            self._interpreter.invoke()
            for at, values in enumerate(made):
                values[index] = self._interpreter.get_output(at).reshape(values.shape[1:])
        clear_unwritten(made, self._detections)
        return outputs


def _open_interpreter(model: Model, histogram: dict[str, int]) -> Any:
    try:
        return open_interpreter(tflm_content(model))
    except RuntimeError as error:
        message = str(error)
    missing = missing_operator(message)
    if missing is not None:
        raise UnsupportedOpError(f"TFLite Micro has no operator {missing}, which {model.path} needs")
    raise ModelError(f"TFLite Micro refuses {model.path} ({message[:300]}); its operators are {', '.join(histogram)}")
