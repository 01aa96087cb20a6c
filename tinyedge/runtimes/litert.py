"""LiteRT (the successor of tflite-runtime) on this machine, with its reference kernels."""

from pathlib import Path

import numpy as np

from tinyedge.errors import ModelError
from tinyedge.runtimes.base import InProcess
from tinyedge.runtimes.inputs import as_model_inputs
from tinyedge.runtimes.litert_model import litert_content
from tinyedge.runtimes.litert_session import REFERENCE, LitertSession
from tinyedge.runtimes.unwritten_rows import clear_unwritten, detection_outputs
from tinyedge.tflite.frames import parts_of
from tinyedge.tflite.model import Model, open_model


class LitertRuntime(InProcess):
    """Runs a model through ai-edge-litert's interpreter.

    It uses the built-in reference kernels. The default ones (XNNPACK) round once where TFLite Micro rounds twice and
    refuse some models. The reference kernels still differ from TFLite Micro by a step or two in FULLY_CONNECTED, so
    this runtime is a second opinion on a model and not the golden reference. A conversion from int8 to int16, which
    LiteRT lacks, runs through float.

    Attributes:
        name: "litert".
        arena_bytes: None; the interpreter does not tell.
    """

    name = "litert"

    def __init__(self, model: Path | Model) -> None:
        """Load the model.

        Args:
            model: A .tflite file, or its path, of any types that the interpreter takes.

        Raises:
            ModelError: The model cannot be read, or the interpreter refuses it.
            ToolMissing: The package is not installed.
        """
        model = open_model(model)
        graph = model.any_graph()
        self._inputs, self._outputs, self._detections = graph.inputs, graph.outputs, detection_outputs(graph)
        self.arena_bytes: int | None = None
        self._model = model
        self.reset()

    def reset(self) -> None:
        """Forget earlier inputs; see `Runtime.reset`. The interpreter resets no variables, so it is another one."""
        try:
            self._session = LitertSession(litert_content(self._model), REFERENCE)
        except (RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:300]
            raise ModelError(f"LiteRT refuses {self._model.path} ({reason}): try another runtime") from error

    def run(self, inputs: np.ndarray) -> np.ndarray:
        """Run every input; see `Runtime.run`."""
        batch = as_model_inputs(inputs, self._inputs)
        outputs = self._session.run_frames(batch, self._outputs)
        clear_unwritten(parts_of(outputs), self._detections)
        return outputs
