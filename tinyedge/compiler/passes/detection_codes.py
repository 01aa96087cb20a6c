"""TFLite_Detection_PostProcess reads codes of boxes and scores in place of the floats that DEQUANTIZEs make of them."""

import numpy as np

from tinyedge.tflite.detection import CODE_INPUTS, DETECTION_POSTPROCESS, READS_CODES, codes_of
from tinyedge.tflite.graph import Graph, Operator, Tensor

_ANCHORS = 2


def detection_codes(graph: Graph) -> None:
    """Give the operator what is in front of the DEQUANTIZEs of its inputs; a pass removes those that nobody reads.

    Constant anchors that are quantised become floats.
    """
    writers = {tensor: operator for operator in graph.operators for tensor in operator.outputs}
    folded: set[Operator] = set()
    for operator in graph.operators:
        if operator.op != DETECTION_POSTPROCESS:
            continue
        codes = tuple(codes_of(operator.optional_input(position), writers) for position in CODE_INPUTS)
        if None not in codes:
            operator.inputs = (*codes, *operator.inputs[len(codes) :])
            operator.options[READS_CODES] = True
        anchors = operator.optional_input(_ANCHORS)
        writer = None if anchors is None else writers.get(anchors)
        if anchors is not None and writer is not None and anchors not in graph.outputs:
            anchors.data = _constant(writer, anchors)
            folded |= {writer} if anchors.is_constant else set()
    graph.operators[:] = [operator for operator in graph.operators if operator not in folded]


def _constant(writer: Operator, tensor: Tensor) -> np.ndarray | None:
    """The value of a tensor that a DEQUANTIZE makes of a constant; None of another."""
    source = writer.optional_input(0)
    if writer.op != "DEQUANTIZE" or source is None or source.data is None or tensor.dtype != np.float32:
        return None
    quantisation = source.quantisation
    if quantisation is None or quantisation.scales.size != 1 or source.shape != tensor.shape:
        return None
    if source.dtype not in (np.int8, np.uint8):
        return None
    return quantisation.reals(source.data)
