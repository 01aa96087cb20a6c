"""The inputs of anybody's model file, known before it is converted."""

from collections.abc import Mapping
from pathlib import Path

from tinyedge.conversion.onnx_source import onnx_inputs
from tinyedge.tflite.model import Model

Port = tuple[str, tuple[int, ...]]
"""The name and the shape of an input or an output."""


def read_inputs(path: Path, input_shapes: Mapping[str, tuple[int, ...]]) -> tuple[Port, ...]:
    """Return the inputs of an ONNX or a .tflite file, in order.

    Args:
        path: The file.
        input_shapes: By input name, of an ONNX file's inputs whose dimensions are open; a free batch is 1 without.

    Raises:
        ModelError: It cannot be read, is quantised, or an input has an open dimension.
        UnsupportedOpError: An ONNX file is of another opset, or holds control flow or operators that are not ONNX's.
    """
    if path.suffix.lower() == ".tflite":
        return tuple((tensor.name, tensor.shape) for tensor in Model(path).any_graph().inputs)
    return onnx_inputs(path, input_shapes)
