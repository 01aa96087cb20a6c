"""Makes a 16x8 or mixed model of an INT8 one: the ranges stay, int16 divides them more finely."""

from collections.abc import Callable

import numpy as np

from tinyedge.tflite.graph import Graph, Operator, Quantisation, Tensor

_INT16 = np.dtype(np.int16)
_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_MOVING = ("PAD", "RESHAPE")


def widen(graph: Graph, is_wide: Callable[[Operator], bool]) -> Graph:
    """Let some operators take and give int16, with QUANTIZE wherever the type changes; inputs and outputs stay int8.

    Args:
        graph: INT8, as read; its tensors are not changed.
        is_wide: Which operators.
    """
    operators: list[Operator] = []
    versions: dict[Tensor, dict[bool, Tensor]] = {tensor: {False: tensor} for tensor in graph.inputs}

    def in_type(tensor: Tensor, wide: bool) -> Tensor:
        if wide not in versions[tensor]:
            versions[tensor][wide] = _wide(tensor) if wide else tensor
            operators.append(Operator("QUANTIZE", (versions[tensor][not wide],), (versions[tensor][wide],)))
        return versions[tensor][wide]

    for operator in graph.operators:
        wide = is_wide(operator)
        inputs = [
            tensor if tensor is None or tensor.is_constant else in_type(tensor, wide) for tensor in operator.inputs
        ]
        output = _wide(operator.output) if wide else operator.output
        if wide and operator.op in _MOVING:
            output.quantisation = inputs[0].quantisation
        if wide and operator.op == "SOFTMAX":
            output.quantisation = _quantisation(np.array([2.0**-15]))
        if wide and operator.op in _WEIGHTED and inputs[2] is not None:
            inputs[2] = _wide_bias(inputs[2], operator.inputs[0], inputs[0], inputs[1])
        versions[operator.output] = {wide: output}
        operators.append(Operator(operator.op, tuple(inputs), (output,), operator.options, operator.version))
    outputs = tuple(in_type(tensor, False) for tensor in graph.outputs)
    return Graph(graph.name, operators, graph.inputs, outputs)


def _quantisation(scales: np.ndarray) -> Quantisation:
    return Quantisation(scales.astype(np.float32), np.zeros(scales.size, np.int32))


def _wide(tensor: Tensor) -> Tensor:
    reach = max(tensor.quantisation.zero_point + 128, 127 - tensor.quantisation.zero_point)
    scale = tensor.quantisation.scale * reach / 32_767
    return Tensor(tensor.name, tensor.shape, _INT16, _quantisation(np.array([scale])))


def _wide_bias(bias: Tensor, narrow: Tensor, wide: Tensor, weights: Tensor) -> Tensor:
    values = np.round(bias.data * (narrow.quantisation.scale / wide.quantisation.scale)).astype(np.int64)
    scales = wide.quantisation.scale * weights.quantisation.scales
    return Tensor(bias.name, bias.shape, values.dtype, _quantisation(scales), values)
