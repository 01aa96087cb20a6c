"""TFLite_Detection_PostProcess as quantised files have it: the end of TensorFlow's single-shot detectors.

It computes in float, of boxes and scores that DEQUANTIZE makes of int8 codes.

TensorFlow 2 exports it as a function of four scalars, and its converter writes them so; that of 1.13 wrote sizes of 0.
LiteRT gives the outputs the shapes that the options say. TFLite Micro takes those of the file, and writes behind them.
"""

import math
from collections.abc import Mapping

import numpy as np

from tinyedge.tflite.flexbuffer import numbers
from tinyedge.tflite.graph import Operator, Tensor

DETECTION_POSTPROCESS = "TFLite_Detection_PostProcess"
CODE_INPUTS = (0, 1)
"""Its inputs that are computed: boxes and scores, the first ones."""
READS_CODES = "reads_codes"
"""Its option, in no file, that these are codes in place of floats."""
SHAPES_UNSET = "shapes_unset"
"""Its option, in no file, that the file lacks the shapes of its outputs; the graph has them."""
CUSTOM_OPTIONS = "custom_options"
"""The option of a custom operator that holds the bytes of its own."""
MAX_INTEGER = 2**24
"""Classes and counts are written as float32."""
BOX_NUMBERS = 4
_ROWS = ("max_detections", "max_classes_per_detection")


def output_shapes(rows: int) -> tuple[tuple[int, ...], ...]:
    """Return the shapes of boxes, classes, scores and how many they are."""
    return (1, rows, BOX_NUMBERS), (1, rows), (1, rows), (1,)


def set_output_shapes(operator: Operator) -> None:
    """Give an operator's outputs the shapes that its options say if it is this one and the file has none of them."""
    if operator.op != DETECTION_POSTPROCESS or len(operator.outputs) != len(output_shapes(0)):
        return
    if any(
        math.prod(output.shape) > 1 or (output.data is not None and output.data.size) for output in operator.outputs
    ):
        return
    try:
        found = numbers(operator.options[CUSTOM_OPTIONS], _ROWS)
    except ValueError:  # The compiler says what is wrong with them.
        return
    rows = math.prod(found.get(name, 0) for name in _ROWS)
    if isinstance(rows, int) and 1 <= rows <= MAX_INTEGER:
        for output, shape in zip(operator.outputs, output_shapes(rows), strict=True):
            output.shape, output.data = shape, None
        operator.options[SHAPES_UNSET] = True


def codes_of(tensor: Tensor | None, writers: Mapping[Tensor, Operator]) -> Tensor | None:
    """Return the int8 tensor that a DEQUANTIZE makes a float one of; None where another operator writes it.

    Args:
        tensor: An input of the operator.
        writers: Who writes each tensor of the graph.
    """
    writer = None if tensor is None else writers.get(tensor)
    if tensor is None or writer is None or writer.op != "DEQUANTIZE" or not writer.inputs:
        return None
    source = writer.inputs[0]
    if source is None or source.is_constant or source.dtype != np.int8 or source.shape != tensor.shape:
        return None
    return source
