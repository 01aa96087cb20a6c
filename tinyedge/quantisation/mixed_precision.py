"""Operators in 16x8 among operators in INT8, and the conversions between them.

Int16 activations beside int8 weights round 256 times more finely, for twice the memory and slower kernels. An operator
reads and writes one of the two types, so that a tensor between operators of different types exists in both: a QUANTIZE,
one a tensor, converts it. The model's input and output stay int8, so that what feeds and reads the model does not
change.
"""

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tinyedge.errors import ModelError
from tinyedge.ops import descriptor_of, tflm_operators
from tinyedge.quantisation.quantise import Range
from tinyedge.tflite.graph import Graph, Operator, Tensor


@dataclass(frozen=True)
class MixedGraph:
    """A float graph with its conversions in place: each of its tensors has one type.

    Attributes:
        graph: Float; a QUANTIZE, which changes nothing here, wherever an int8 and an int16 tensor meet.
        ranges: Of each activation of it.
        int16: Its activations that become int16.
    """

    graph: Graph
    ranges: dict[Tensor, Range]
    int16: frozenset[Tensor]


def has_int16x8_kernel(operator: Operator) -> bool:
    """Return whether TFLite Micro has a 16x8 kernel for an operator."""
    return "int16" in descriptor_of(operator).tflm_types


def mix_precision(
    graph: Graph, ranges: Mapping[Tensor, Range], min_max: Mapping[Tensor, Range], int16x8: Collection[Operator]
) -> MixedGraph:
    """Place the conversions that some operators in 16x8 need.

    Args:
        graph: Float; it is not changed.
        ranges: The quantisation range of each activation of it, for int8.
        min_max: From its lowest to its highest value, for int16, where steps are not scarce.
        int16x8: The operators of it that run in 16x8.

    Raises:
        ModelError: One of them has no 16x8 kernel.
    """
    for operator in int16x8:
        if not has_int16x8_kernel(operator):
            raise ModelError(
                f"operator {operator.index} ({operator.op}) of {graph.name} has no 16x8 kernel in TFLite Micro; "
                f"those that have are {', '.join(sorted(tflm_operators('int16')))}"
            )
    int16x8 = frozenset(int16x8)
    int16 = {operator.output for operator in graph.operators if operator in int16x8}
    converted: dict[Tensor, Tensor] = {}
    operators: list[Operator] = []

    def of_type(tensor: Tensor, to_int16: bool) -> Tensor:
        if (tensor in int16) == to_int16:
            return tensor
        if tensor not in converted:
            converted[tensor] = dataclasses.replace(tensor, name=f"{tensor.name}_{'int16' if to_int16 else 'int8'}")
            operators.append(Operator("QUANTIZE", (tensor,), (converted[tensor],)))
        return converted[tensor]

    for operator in graph.operators:
        inputs = tuple(
            tensor if tensor is None or tensor.is_constant else of_type(tensor, operator in int16x8)
            for tensor in operator.inputs
        )
        operators.append(dataclasses.replace(operator, inputs=inputs))
    outputs = tuple(of_type(tensor, False) for tensor in graph.outputs)
    mixed_ranges = {tensor: min_max[tensor] if tensor in int16 else ranges[tensor] for tensor in ranges}
    for tensor, copy in converted.items():
        mixed_ranges[copy] = ranges[tensor] if tensor in int16 else min_max[tensor]
    int16 |= {copy for tensor, copy in converted.items() if tensor not in int16}
    operators = [dataclasses.replace(operator, index=index) for index, operator in enumerate(operators)]
    return MixedGraph(dataclasses.replace(graph, operators=operators, outputs=outputs), mixed_ranges, frozenset(int16))
