"""Operators that make one int8 value of another are, however many they are, one table of 256 values.

SiLU is a LOGISTIC and a MUL, a hard sigmoid an ADD, a RELU6 and a MUL, and a lookup as `tinyedge export` writes it a
CAST, an ADD and a GATHER. Each value of the result depends on one value of one tensor. So the chain is evaluated here
for every code, in the arithmetic of its operators, and the device reads one byte an element.
"""

from collections.abc import Callable, Mapping

import numpy as np

from tinyedge.errors import UnsupportedOpError
from tinyedge.ops import lower
from tinyedge.ops.kernel_call import ConstantArray, KernelCall
from tinyedge.tflite.fixed_point import clamp, requantise, wrap_int32
from tinyedge.tflite.graph import Graph, Operator, Tensor

_CODES = range(-128, 128)
_HEADROOM = 2**20  # As in te_add_s8.c.

Values = Mapping[Tensor, list[int]]
"""What a tensor holds for each code of the tensor that its chain starts from."""


def fuse_tables(graph: Graph) -> None:
    """Replace every chain of elementwise operators on one int8 tensor and constants of one value by a TABLE.

    What lies within a chain is read by the chain alone. A single ADD, SUB or MUL is a chain as well, for a table takes
    its place in fewer instructions; of the functions that are tables anyway it takes two.
    """
    chains = _Chains(graph)
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


class _Chains:
    """Finds chains in a graph that nobody changes meanwhile."""

    def __init__(self, graph: Graph) -> None:
        self._readers = graph.readers()
        self._outputs = set(graph.outputs)
        self._writers = {tensor: operator for operator in graph.operators for tensor in operator.outputs}
        self._positions = {operator: position for position, operator in enumerate(graph.operators)}

    def longest_to(self, last: Operator) -> list[Operator]:
        """Return the operators of the longest chain that ends with one, in execution order; none if there is none."""
        chain: list[Operator] = []
        longest: list[Operator] = []
        sources: set[Tensor] = set()
        newest: Operator | None = last
        while newest is not None and _is_elementwise(newest):
            chain.insert(0, newest)
            sources = (sources - {newest.output}) | _activations(newest)
            if len(sources) == 1 and all(tensor.dtype == np.int8 for tensor in sources):
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
            tensor not in self._outputs and all(reader in chain for reader in self._readers.get(tensor, []))
            for tensor in operator.outputs
        )


def _activations(operator: Operator) -> set[Tensor]:
    return {tensor for tensor in operator.inputs if tensor is not None and not tensor.is_constant}


def _is_elementwise(operator: Operator) -> bool:
    """Whether element i of the output depends on element i of the activations, and on nothing else that varies."""
    activations = _activations(operator)
    return (
        operator.op in _EVALUATIONS
        and len(operator.outputs) == 1
        and len(activations) > 0
        and all(tensor.shape == operator.output.shape for tensor in activations)
        and all(tensor.dtype != np.int16 for tensor in (*activations, operator.output))  # Too many for a table.
        and all(_is_uniform(tensor) for tensor in operator.inputs if tensor is not None and operator.op != "GATHER")
    )


def _is_uniform(tensor: Tensor) -> bool:
    return tensor.data is None or (tensor.elements > 0 and bool(np.all(tensor.data == tensor.data.flat[0])))


def _fused(chain: list[Operator]) -> Operator | None:
    """Return the TABLE of a chain; None if it would save nothing, or an operator of it has a form of its own."""
    saves = len(chain) > 1 or any(operator.op in _TWO_OPERANDS for operator in chain)
    if not saves or chain[-1].output.dtype != np.int8:
        return None
    (source,) = _activations(chain[0])
    values: dict[Tensor, list[int]] = {source: list(_CODES)}
    try:
        for operator in chain:
            values[operator.output] = _EVALUATIONS[operator.op](operator, values)
    except UnsupportedOpError:
        return None  # Where it is lowered by itself, it says so.
    last = chain[-1]
    table = np.array(values[last.output], dtype=np.int8)
    return Operator("TABLE", (source,), last.outputs, {"table": table}, index=last.index)


def _operand(operator: Operator, position: int, values: Values) -> list[int]:
    tensor = operator.inputs[position] if position < len(operator.inputs) else None
    if tensor is None:
        raise UnsupportedOpError(f"{operator.op} lacks an operand")
    return values[tensor] if tensor.data is None else [int(tensor.data.flat[0])] * len(_CODES)


def _function(operator: Operator, values: Values) -> list[int]:
    """Evaluate an operator that is a table by itself."""
    table = lower(operator).fields["table"]
    assert isinstance(table, ConstantArray)
    return [int(table.values[value + 128]) for value in _operand(operator, 0, values)]


def _two_operands(operator: Operator, values: Values) -> list[int]:
    """Evaluate ADD, SUB or MUL: of int8 as its kernel does, of int32 as it is."""
    pairs = list(zip(_operand(operator, 0, values), _operand(operator, 1, values), strict=True))
    if operator.output.dtype == np.int32:
        if operator.options.get("fused_activation_function", "NONE") != "NONE":
            raise UnsupportedOpError(f"{operator.op} of int32 has an activation")
        return [wrap_int32(_TWO_OPERANDS[operator.op](a, b)) for a, b in pairs]
    call = lower(operator)
    kernel = _product if operator.op == "MUL" else _sum
    return [kernel(call, a, b) for a, b in pairs]


def _product(call: KernelCall, a: int, b: int) -> int:
    """One element of te_mul_s8."""
    own = _integer_fields(call)
    product = (a - own["input1_zero_point"]) * (b - own["input2_zero_point"])
    scaled = requantise(product, own["multiplier"], own["shift"])
    return clamp(wrap_int32(scaled + own["output_zero_point"]), own["output_min"], own["output_max"])


def _sum(call: KernelCall, a: int, b: int) -> int:
    """One element of te_add_s8 or te_sub_s8."""
    own = _integer_fields(call)
    scaled_a, scaled_b = (
        requantise((value - own[f"{name}_zero_point"]) * _HEADROOM, own[f"{name}_multiplier"], own[f"{name}_shift"])
        for name, value in (("input1", a), ("input2", b))
    )
    total = scaled_a - scaled_b if call.function == "te_sub_s8" else scaled_a + scaled_b
    scaled = requantise(total, own["output_multiplier"], own["output_shift"])
    return clamp(scaled + own["output_zero_point"], own["output_min"], own["output_max"])


def _integer_fields(call: KernelCall) -> dict[str, int]:
    return {name: value for name, value in call.fields.items() if isinstance(value, int)}


def _cast(operator: Operator, values: Values) -> list[int]:
    """Evaluate CAST of int8 codes to int32."""
    if operator.output.dtype != np.int32:
        raise UnsupportedOpError(f"CAST to {operator.output.dtype}")
    return _operand(operator, 0, values)


def _gather(operator: Operator, values: Values) -> list[int]:
    """Evaluate GATHER from a constant vector."""
    table, options = operator.inputs[0], operator.options
    indices = _operand(operator, 1, values)
    if table is None or table.data is None or table.data.ndim != 1 or table.dtype != np.int8:
        raise UnsupportedOpError("GATHER from no constant vector")
    if options.get("axis", 0) != 0 or options.get("batch_dims", 0) != 0 or operator.output.dtype != np.int8:
        raise UnsupportedOpError("GATHER along an axis")
    if min(indices) < 0 or max(indices) >= table.elements:
        raise UnsupportedOpError("GATHER beyond its vector")
    return [int(table.data[index]) for index in indices]


_TWO_OPERANDS: dict[str, Callable[[int, int], int]] = {"ADD": int.__add__, "SUB": int.__sub__, "MUL": int.__mul__}

_EVALUATIONS: dict[str, Callable[[Operator, Values], list[int]]] = {
    **dict.fromkeys(("GELU", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "QUANTIZE", "RELU", "RELU6", "TANH"), _function),
    **dict.fromkeys(_TWO_OPERANDS, _two_operands),
    "CAST": _cast,
    "GATHER": _gather,
}
