"""A model as LiteRT takes it.

LiteRT has no QUANTIZE from int8 to int16, which TFLite Micro has (as of LiteRT 2.1.0: `Prepare` in
`tflite/kernels/quantize.cc`). Through float it has both halves, and a float holds every int8 value. Unset options are
set as `option_repair` says.

XNNPACK, its fast kernels, takes int8 convolutions only if their biases have scales, which all other kernels derive, and
misreads the zero points of int8 BATCH_MATMUL (as of LiteRT 2.1.2); products of float32 are exact enough to be rounded
to the same codes.
"""

import dataclasses

import numpy as np

from tinyedge.runtimes.option_repair import has_unset_options, with_options_set
from tinyedge.tflite.graph import Graph, Operator, Quantisation, Tensor
from tinyedge.tflite.model import Model
from tinyedge.tflite.writer import tflite_bytes

_VERSION = 2  # Of QUANTIZE to int16, and of DEQUANTIZE from int8.
_FLOAT = np.dtype(np.float32)
_WITH_BIAS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})


def litert_content(model: Model) -> bytes:
    """Return the bytes of a .tflite file, rewritten if it converts int8 to int16 or has unset options.

    Raises:
        ModelError: The file is damaged.
    """
    graph = model.any_graph()
    if not any(_widens(operator) for operator in graph.operators) and not has_unset_options(graph):
        return model.content
    return tflite_bytes(_through_float(graph))


def xnnpack_content(model: Model) -> bytes:
    """Return the bytes of a .tflite file, rewritten so that XNNPACK computes as much of it as it can, and right.

    Raises:
        ModelError: The file is damaged.
    """
    graph = model.any_graph()
    if all(operator.output.dtype == _FLOAT for operator in graph.operators):
        return model.content
    operators = [part for operator in _through_float(graph).operators for part in _for_xnnpack(operator)]
    return tflite_bytes(dataclasses.replace(graph, operators=operators))


def _for_xnnpack(operator: Operator) -> list[Operator]:
    if operator.output.dtype != np.int8:
        return [operator]
    if operator.op == "BATCH_MATMUL":
        return _in_float(operator)
    if operator.op not in _WITH_BIAS or len(operator.inputs) < 3:
        return [operator]
    source, weight, bias = operator.inputs
    if any(tensor is None or tensor.quantisation is None for tensor in (source, weight)) or bias is None:
        return [operator]
    scales = source.quantisation.scale * weight.quantisation.scales.astype(np.float64)  # type: ignore[union-attr]
    quantisation = Quantisation(scales.astype(np.float32), np.zeros(len(scales), np.int32))
    return [
        dataclasses.replace(operator, inputs=(source, weight, dataclasses.replace(bias, quantisation=quantisation)))
    ]


def _in_float(operator: Operator) -> list[Operator]:
    """Return an int8 operator as the float one between DEQUANTIZE and QUANTIZE."""
    parts: list[Operator] = []
    reals: dict[Tensor, Tensor] = {}
    for tensor in (*operator.inputs, operator.output):
        if tensor is None:
            continue
        reals[tensor] = dataclasses.replace(tensor, dtype=_FLOAT, quantisation=None, data=None)
        if tensor is not operator.output:
            parts.append(Operator("DEQUANTIZE", (tensor,), (reals[tensor],), version=_VERSION))
    inputs = tuple(None if tensor is None else reals[tensor] for tensor in operator.inputs)
    output = reals[operator.output]
    parts.append(dataclasses.replace(operator, inputs=inputs, outputs=(output,), version=1))
    return [*parts, Operator("QUANTIZE", (output,), operator.outputs)]


def _widens(operator: Operator) -> bool:
    source = operator.inputs[0] if operator.op == "QUANTIZE" else None
    return source is not None and source.dtype == np.int8 and operator.output.dtype == np.int16


def _through_float(graph: Graph) -> Graph:
    operators = []
    for operator in graph.operators:
        if not _widens(operator):
            operators.append(with_options_set(operator))
            continue
        real = dataclasses.replace(operator.output, dtype=np.dtype(np.float32), quantisation=None)
        operators.append(Operator("DEQUANTIZE", operator.inputs, (real,), version=_VERSION))
        operators.append(Operator("QUANTIZE", (real,), operator.outputs, version=_VERSION))
    return dataclasses.replace(graph, operators=operators)
