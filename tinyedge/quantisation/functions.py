"""Chains of elementwise operators on one tensor become one function of a value each, and quotients become products.

A converter writes a SiLU as LOGISTIC and MUL, and a hard sigmoid as a product, a sum and two bounds. Quantised one by
one, each rounds, and each needs a range. As functions of one int8 value they are exact but for one rounding, and the
compiler reads a table.
"""

import dataclasses

import numpy as np

from tinyedge.compiler.passes.fuse_tables import Chains
from tinyedge.ops import descriptor_of
from tinyedge.tflite.graph import Graph, Operator, Tensor

_FLOAT = np.dtype(np.float32)


def fuse_functions(graph: Graph) -> None:
    """Replace, in a float graph, in place, quotients by products and chains by FUNCTION operators."""
    graph.operators[:] = [new for operator in graph.operators for new in _without_quotient(operator)]
    chains = Chains(graph, _FLOAT, _is_link)
    operators: list[Operator] = []
    taken: set[Operator] = set()
    for operator in reversed(graph.operators):
        if operator in taken:
            continue
        chain = chains.longest_to(operator)
        if _gains(chain) and operator.output.dtype == _FLOAT:
            operators.append(_function(chain))
            taken.update(chain)
        else:
            operators.append(operator)
    graph.operators[:] = reversed(operators)


def _without_quotient(operator: Operator) -> list[Operator]:
    """A DIV of activations as the product with a reciprocal, which is a function of one value."""
    if operator.op != "DIV" or operator.input(1).is_constant:  # By constants, conversion writes products.
        return [operator]
    divisor = operator.input(1)
    reciprocal = dataclasses.replace(divisor, name=f"{operator.output.name}/reciprocal")
    exponent = Tensor(f"{reciprocal.name}/exponent", (1,), _FLOAT, data=np.array([-1], np.float32))
    return [
        Operator("POW", (divisor, exponent), (reciprocal,), index=operator.index),
        dataclasses.replace(operator, op="MUL", inputs=(operator.inputs[0], reciprocal)),
    ]


def _is_link(operator: Operator) -> bool:
    """Whether an operator is a function of values or of what they are compared to: all of one shape or one constant."""
    tensors = [tensor for tensor in operator.inputs if tensor is not None]
    activations = [tensor for tensor in tensors if not tensor.is_constant]
    return (
        descriptor_of(operator).is_function
        and len(activations) > 0
        and all(tensor.dtype in (_FLOAT, np.bool_) for tensor in (*tensors, operator.output))
        and all(tensor.shape == operator.output.shape for tensor in activations)
        and all(tensor.data is None or bool(np.all(tensor.data == tensor.data.flat[0])) for tensor in tensors)
    )


def _gains(chain: list[Operator]) -> bool:
    """Whether a chain is worth a function: bounds alone cost nothing, for what they bound saturates."""
    return len(chain) > 1 and not all(descriptor_of(operator).bounds_values for operator in chain)


def _function(chain: list[Operator]) -> Operator:
    """The FUNCTION of a chain, whose operators are written anew for tensors of one value."""
    source = next(tensor for tensor in chain[0].inputs if tensor is not None and not tensor.is_constant)
    scalars: dict[Tensor, Tensor] = {}

    def scalar(tensor: Tensor) -> Tensor:
        if tensor not in scalars:
            data = None if tensor.data is None else tensor.data.reshape(-1)[:1]
            scalars[tensor] = dataclasses.replace(tensor, shape=(1,), data=data)
        return scalars[tensor]

    links = tuple(
        dataclasses.replace(
            operator,
            inputs=tuple(None if tensor is None else scalar(tensor) for tensor in operator.inputs),
            outputs=(scalar(operator.output),),
        )
        for operator in chain
    )
    return Operator("FUNCTION", (source,), chain[-1].outputs, {"chain": links}, index=chain[-1].index)
