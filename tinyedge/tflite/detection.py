"""TFLite_Detection_PostProcess as quantised files have it: the end of TensorFlow's single-shot detectors.

It computes in float, of boxes and scores that DEQUANTIZE makes of int8 codes.
"""

from collections.abc import Mapping

import numpy as np

from tinyedge.tflite.graph import Operator, Tensor

DETECTION_POSTPROCESS = "TFLite_Detection_PostProcess"
CODE_INPUTS = (0, 1)
"""Its inputs that are computed: boxes and scores, the first ones."""
READS_CODES = "reads_codes"
"""Its option, in no file, that these are codes in place of floats."""


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
