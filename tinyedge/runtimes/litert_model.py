"""A model as LiteRT takes it.

LiteRT has no QUANTIZE from int8 to int16, which TFLite Micro has (as of LiteRT 2.1.0: `Prepare` in
`tflite/kernels/quantize.cc`). Through float it has both halves, and a float holds every int8 value.
"""

import dataclasses

import numpy as np

from tinyedge.tflite.graph import Graph, Operator
from tinyedge.tflite.model import Model
from tinyedge.tflite.writer import tflite_bytes

_VERSION = 2  # Of QUANTIZE to int16, and of DEQUANTIZE from int8.


def litert_content(model: Model) -> bytes:
    """Return the bytes of a .tflite file, rewritten if it converts int8 to int16.

    Raises:
        ModelError: The file is damaged.
    """
    graph = model.any_graph()
    if not any(_widens(operator) for operator in graph.operators):
        return model.content
    return tflite_bytes(_through_float(graph))


def _widens(operator: Operator) -> bool:
    source = operator.inputs[0] if operator.op == "QUANTIZE" else None
    return source is not None and source.dtype == np.int8 and operator.output.dtype == np.int16


def _through_float(graph: Graph) -> Graph:
    operators = []
    for operator in graph.operators:
        if not _widens(operator):
            operators.append(operator)
            continue
        real = dataclasses.replace(operator.output, dtype=np.dtype(np.float32), quantisation=None)
        operators.append(Operator("DEQUANTIZE", operator.inputs, (real,), version=_VERSION))
        operators.append(Operator("QUANTIZE", (real,), operator.outputs, version=_VERSION))
    return dataclasses.replace(graph, operators=operators)
