"""TFLite_Detection_PostProcess reads the codes of boxes and scores in place of floats that a DEQUANTIZE makes of them."""

import numpy as np

from tinyedge.tflite.detection import CODE_INPUTS, DETECTION_POSTPROCESS, codes_of
from tinyedge.tflite.graph import Graph, Operator, Tensor

_ANCHORS = 2


def detection_codes(graph: Graph) -> None:
    """Give the operator what is in front of the DEQUANTIZEs of its inputs; a pass removes those that nobody reads.

    Constant anchors that are quantised become floats.
    """
    writers = {tensor: operator for operator in graph.operators for tensor in operator.outputs}
    for operator in graph.operators:
        if operator.op != DETECTION_POSTPROCESS:
            continue
        inputs = list(operator.inputs)
        for position, tensor in enumerate(inputs):
            if position in CODE_INPUTS:
                inputs[position] = codes_of(tensor, writers) or tensor
            elif position == _ANCHORS and tensor is not None:
                inputs[position] = _as_constant(tensor, writers.get(tensor))
        operator.inputs = tuple(inputs)


def _as_constant(tensor: Tensor, writer: Operator | None) -> Tensor:
    """A tensor, as a constant where a DEQUANTIZE makes it of one."""
    source = None if writer is None or writer.op != "DEQUANTIZE" or not writer.inputs else writer.inputs[0]
    if source is None or source.data is None or source.shape != tensor.shape or tensor.dtype != np.float32:
        return tensor
    quantisation = source.quantisation
    if source.dtype not in (np.int8, np.uint8) or quantisation is None or quantisation.scales.size != 1:
        return tensor
    steps = source.data.astype(np.int32) - quantisation.zero_point
    return Tensor(tensor.name, tensor.shape, tensor.dtype, data=quantisation.scales[0] * steps.astype(np.float32))
