"""Operators that make one int8 value of another are, however many they are, one table of 256 values.

SiLU is a LOGISTIC and a MUL, a hard sigmoid an ADD, a RELU6 and a MUL, and a lookup as `tinyedge export` writes it a
CAST, an ADD and a GATHER; what a converter left in float between a DEQUANTIZE and a QUANTIZE is one as well. Each value
of the result depends on one value of one tensor. So the chain is evaluated here for every code, in the arithmetic of
its operators, and the device reads one byte an element.
"""

from collections.abc import Callable, Mapping

import numpy as np

from tinyedge.errors import UnsupportedOpError
from tinyedge.ops import descriptor_of
from tinyedge.ops.single_precision import makes_floats, single_precision
from tinyedge.tflite.fixed_point import INT8_MAX, INT8_MIN
from tinyedge.tflite.graph import Graph, Operator, Tensor


def fuse_tables(graph: Graph) -> None:
    """Replace every chain of elementwise operators on one int8 tensor and constants of one value by a TABLE.

    What lies within a chain is read by the chain alone. A single ADD, SUB or MUL is a chain as well, for a table takes
    its place in fewer instructions; of the functions that are tables anyway it takes two.
    """
    chains = Chains(graph, np.dtype(np.int8), _is_elementwise)
    operators: list[Operator] = []
    taken: set[Operator] = set()
    for operator in reversed(graph.operators):
        if operator in taken:
            continue
        chain = chains.longest_to(operator)
        table = _fused(chain)
        if table is None:
            operators.append(operator)
        else:
            operators.append(table)
            taken.update(chain)
    graph.operators[:] = reversed(operators)


class Chains:
    """Finds chains of operators on one tensor in a graph that nobody changes meanwhile.

    Args:
        graph: To find them in.
        dtype: Of the tensor that a chain begins with.
        is_link: Whether an operator may be in a chain: whether element i of its output depends on element i of its
            activations alone.
    """

    def __init__(self, graph: Graph, dtype: np.dtype, is_link: Callable[[Operator], bool]) -> None:
        self._dtype, self._is_link = dtype, is_link
        self._readers = graph.readers()
        self._results = set(graph.results)
        self._writers = {tensor: operator for operator in graph.operators for tensor in operator.outputs}
        self._positions = {operator: position for position, operator in enumerate(graph.operators)}

    def longest_to(self, last: Operator) -> list[Operator]:
        """Return the operators of the longest chain that ends with one, in execution order; none if there is none."""
        chain: list[Operator] = []
        longest: list[Operator] = []
        sources: set[Tensor] = set()
        newest: Operator | None = last
        while newest is not None and self._is_link(newest):
            chain.insert(0, newest)
            sources = (sources - {newest.output}) | _activations(newest)
            if len(sources) == 1 and all(tensor.dtype == self._dtype for tensor in sources):
                longest = list(chain)
            newest = self._newest_writer(sources)
            if newest is not None and not self._is_read_within(newest, chain):
                break
        return longest

    def _newest_writer(self, tensors: set[Tensor]) -> Operator | None:
        """Return who writes the last of some tensors: an earlier one cannot depend on it."""
        writers = [self._writers[tensor] for tensor in tensors if tensor in self._writers]
        return max(writers, key=lambda operator: self._positions[operator], default=None)

    def _is_read_within(self, operator: Operator, chain: list[Operator]) -> bool:
        return all(
            tensor not in self._results and all(reader in chain for reader in self._readers.get(tensor, []))
            for tensor in operator.outputs
        )


def _activations(operator: Operator) -> set[Tensor]:
    return {tensor for tensor in operator.inputs if tensor is not None and not tensor.is_constant}


def _is_elementwise(operator: Operator) -> bool:
    """Whether element i of the output depends on element i of the activations, and on nothing else that varies."""
    activations, descriptor = _activations(operator), descriptor_of(operator)
    return (
        (descriptor.codes is not None or makes_floats(operator))
        and len(operator.outputs) == 1
        and len(activations) > 0
        and all(tensor.shape == operator.output.shape for tensor in activations)
        and all(tensor.dtype != np.int16 for tensor in (*activations, operator.output))  # Too many for a table.
        and all(
            _is_uniform(tensor)
            for position, tensor in enumerate(operator.inputs)
            if tensor is not None and position != descriptor.table_input
        )
    )


def _is_uniform(tensor: Tensor) -> bool:
    return tensor.data is None or (tensor.elements > 0 and bool(np.all(tensor.data == tensor.data.flat[0])))


def _fused(chain: list[Operator]) -> Operator | None:
    """Return the TABLE of a chain; None if it would save nothing, or an operator of it has a form of its own."""
    saves = len(chain) > 1 or any(len(operator.inputs) > 1 for operator in chain)
    if not saves or chain[-1].output.dtype != np.int8:
        return None
    (source,) = _activations(chain[0])
    values = {source: np.arange(INT8_MIN, INT8_MAX + 1)}
    try:
        for operator in chain:
            values[operator.output] = _evaluate(operator, values)
    except UnsupportedOpError:
        return None  # Where it is lowered by itself, it says so.
    last = chain[-1]
    table = values[last.output].astype(np.int8)
    return Operator("TABLE", (source,), last.outputs, {"table": table}, index=last.index)


def _evaluate(operator: Operator, values: Mapping[Tensor, np.ndarray]) -> np.ndarray:
    """What an operator's output holds for each code of its chain's first tensor, (256,) int64 or float32."""
    codes = single_precision if makes_floats(operator) else descriptor_of(operator).codes
    if codes is None or None in operator.inputs:
        raise UnsupportedOpError(f"{operator.op} lacks an operand")
    return codes(operator, [_values(tensor, values) for tensor in operator.inputs if tensor is not None])


def _values(tensor: Tensor, values: Mapping[Tensor, np.ndarray]) -> np.ndarray:
    if tensor.data is None:
        return values[tensor]
    kind = np.float32 if tensor.dtype == np.float32 else np.int64
    return np.full(INT8_MAX - INT8_MIN + 1, tensor.data.flat[0], kind)
