"""ONNX Runtime on this machine: the float model behind the INT8 model's interface."""

from pathlib import Path
from typing import Any

import numpy as np

from tinyedge.compiler.program import check_interface
from tinyedge.errors import ModelError
from tinyedge.installation import package_missing
from tinyedge.runtimes.base import InProcess
from tinyedge.runtimes.inputs import as_model_inputs
from tinyedge.tflite.graph import Quantisation, Tensor
from tinyedge.tflite.model import Model, open_model


class OnnxRuntime(InProcess):
    """Runs the float ONNX model from which an INT8 model was made.

    Inputs are dequantised and outputs quantised with the INT8 model's scales, so that its results compare with the
    other runtimes': what differs is the error of quantisation. It cannot be bit-exact.

    Attributes:
        name: "onnx".
        arena_bytes: None; ONNX Runtime does not tell.
    """

    name = "onnx"

    def __init__(self, onnx: Path, int8_model: Path | Model) -> None:
        """Load both models.

        Args:
            onnx: The float model, batch 1; images NCHW.
            int8_model: The .tflite file, or its path, whose input and output it shares; images NHWC.

        Raises:
            ModelError: A model cannot be read, or their inputs or outputs do not match.
            ToolMissing: onnxruntime is not installed.
        """
        int8_model = open_model(int8_model)
        graph = int8_model.graph()
        check_interface(graph)
        self._input: Tensor = graph.inputs[0]
        self._output: Tensor = graph.outputs[0]
        self.arena_bytes: int | None = None
        if not Path(onnx).is_file():
            raise ModelError(f"no ONNX model at {onnx}: make it with `tinyedge export RUN --int8`")
        self._session = _open_session(onnx)
        self._input_name = self._session.get_inputs()[0].name
        expected = tuple(self._session.get_inputs()[0].shape)
        self._channels_first = len(self._input.shape) == 4
        shape = _channels_first(self._input.shape) if self._channels_first else self._input.shape
        if expected != shape:
            raise ModelError(
                f"{onnx} takes {list(expected)} and {int8_model.path} {list(self._input.shape)}: "
                "give the ONNX model from which the INT8 model was made"
            )

    def reset(self) -> None:
        """Do nothing: the model of an encoder has no states; see `Runtime.reset`."""

    def run(self, inputs: np.ndarray) -> np.ndarray:
        """Run every input; see `Runtime.run`."""
        batch = as_model_inputs(inputs, [self._input])
        outputs = np.empty((len(batch), *self._output.shape[1:]), dtype=np.int8)
        for index, image in enumerate(batch):
            real = _dequantise(image[np.newaxis], self._input.q)
            if self._channels_first:
                real = np.ascontiguousarray(real.transpose(0, 3, 1, 2))  # (1, C, H, W)
            (result,) = self._session.run(None, {self._input_name: real})[:1]
            if result.ndim == 4 and result.shape == _channels_first(self._output.shape):
                result = result.transpose(0, 2, 3, 1)  # (1, H, W, C)
            if result.size != self._output.elements:
                raise ModelError(
                    f"the ONNX model gives {list(result.shape)}, the INT8 model {list(self._output.shape)}: "
                    "give the ONNX model from which the INT8 model was made"
                )
            outputs[index] = _quantise(result, self._output.q).reshape(self._output.shape[1:])
        return outputs


def run_onnx(model: Path, images: np.ndarray) -> np.ndarray:
    """Run normalised images (n, H, W, 3) float32 through a model that takes (1, 3, H, W); return (n, K) float32.

    Raises:
        ModelError: ONNX Runtime refuses the model.
        ToolMissing: onnxruntime is not installed.
    """
    session = _open_session(model)
    name = session.get_inputs()[0].name
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2))  # (n, 3, H, W)
    return np.concatenate([session.run(None, {name: plane[np.newaxis]})[0] for plane in planes])


def _open_session(model: Path) -> Any:
    """ONNX Runtime on one thread."""
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as errors
    except ImportError as error:
        raise package_missing("onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except (errors.Fail, errors.InvalidProtobuf, errors.InvalidGraph, errors.NotImplemented) as error:
        raise ModelError(f"ONNX Runtime refuses {model} ({' '.join(str(error).split())[:300]})") from error


def _channels_first(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape if len(shape) != 4 else (shape[0], shape[3], shape[1], shape[2])


def _dequantise(values: np.ndarray, quantisation: Quantisation) -> np.ndarray:
    centred = values.astype(np.float32) - np.float32(quantisation.zero_point)
    real: np.ndarray = centred * np.float32(quantisation.scale)
    return real


def _quantise(values: np.ndarray, quantisation: Quantisation) -> np.ndarray:
    steps = np.round(values / np.float32(quantisation.scale)) + quantisation.zero_point
    clipped: np.ndarray = np.clip(steps, -128, 127)
    return clipped.astype(np.int8)
