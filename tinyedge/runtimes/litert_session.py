"""LiteRT's interpreter for a model of any types, an input at a time on one thread."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tinyedge.installation import package_missing
from tinyedge.runtimes.litert_model import litert_content, xnnpack_content
from tinyedge.tflite.frames import empty_frames, parts_of
from tinyedge.tflite.graph import Tensor
from tinyedge.tflite.model import Model, open_model

XNNPACK = "BUILTIN"
BUILT_IN = "BUILTIN_WITHOUT_DEFAULT_DELEGATES"
REFERENCE = "BUILTIN_REF"


class LitertSession:
    """A loaded model.

    Every tensor keeps memory of its own, but for XNNPACK's kernels: where a RESHAPE lies in the memory of what it
    reads, the others write over that while it is still to be read (findings/litert_writes_over_a_reshaped_tensor.sh).

    Args:
        content: Of a .tflite file with one input.
        kernels: `XNNPACK`, `BUILT_IN` or `REFERENCE`.

    Raises:
        RuntimeError: The interpreter refuses the model.
        ToolMissing: The package is not installed.
        ValueError: It refuses the model as well.
    """

    def __init__(self, content: bytes, kernels: str) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter, OpResolverType
        except ImportError as error:
            raise package_missing("ai-edge-litert") from error
        with _quiet():
            self._interpreter = Interpreter(
                model_content=content,
                num_threads=1,
                experimental_op_resolver_type=OpResolverType[kernels],
                experimental_preserve_all_tensors=kernels != XNNPACK,
            )
            self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]

    def run(self, inputs: np.ndarray) -> np.ndarray:
        """Return the first output of each input, (n, ...); both of the model's own types."""
        if len(inputs) == 0:
            return np.empty((0, *self._output["shape"][1:]), self._output["dtype"])
        return self.run_tensors(inputs, [self._output["index"]])[0]

    def run_frames(self, inputs: np.ndarray, outputs: Sequence[Tensor]) -> np.ndarray:
        """Return the outputs of each input, (n, ...) frames of `outputs`; `inputs` are frames of the model's own."""
        frames = empty_frames(len(inputs), outputs)
        given, made = parts_of(inputs), parts_of(frames)
        ports = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        for index in range(len(inputs)):
            for port, values in zip(ports[0], given, strict=True):
                self._interpreter.set_tensor(port["index"], values[index].reshape(port["shape"]))
            self._interpreter.invoke()
            for port, values in zip(ports[1], made, strict=True):
                values[index] = self._interpreter.get_tensor(port["index"]).reshape(values.shape[1:])
        return frames

    def run_tensors(self, inputs: np.ndarray, tensors: Sequence[int]) -> list[np.ndarray]:
        """Return the values of some tensors for each input, of other kernels than XNNPACK's.

        Args:
            inputs: (n, ...) of the model's own type, n > 0.
            tensors: Their positions in the file.

        Returns:
            An array (n, ...) a tensor.
        """
        values: list[list[np.ndarray]] = [[] for _ in tensors]
        for value in inputs:
            self._interpreter.set_tensor(self._input, value[np.newaxis])
            self._interpreter.invoke()
            for found, tensor in zip(values, tensors, strict=True):
                found.append(self._interpreter.get_tensor(tensor))
        return [np.concatenate(found) for found in values]


def run_tflite(model: Path | Model, inputs: np.ndarray) -> np.ndarray:
    """Run inputs (n, ...) of the model's own type through LiteRT's fastest kernels; return (n, ...) of its output type.

    By XNNPACK, which is four times as fast as the built-in kernels: in INT8 it strays from TFLite Micro by a step or
    two as they do, for both round once where TFLite Micro rounds twice. By those where XNNPACK refuses the graph.
    """
    opened = open_model(model)
    try:
        return LitertSession(xnnpack_content(opened), XNNPACK).run(inputs)
    except (RuntimeError, ValueError):
        return LitertSession(litert_content(opened), BUILT_IN).run(inputs)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep from the terminal what LiteRT's C++ writes to it when it loads XNNPACK, and no setting turns off."""
    kept = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
