"""The two operands of an operator, of which one may be constant."""

from dataclasses import dataclass

from tinyedge.ops.kernel_call import ConstantArray
from tinyedge.ops.rules import quantised_input, unsupported
from tinyedge.tflite.graph import Operator, Tensor


@dataclass(frozen=True, eq=False)
class Operands:
    """What a kernel of two inputs is called with.

    Attributes:
        tensors: As the operator has them.
        constants: The values of a constant operand; None for an activation.
        activations: What to pass: the one activation twice where the other operand is constant.
    """

    tensors: tuple[Tensor, Tensor]
    constants: tuple[ConstantArray | None, ConstantArray | None]
    activations: tuple[Tensor, Tensor]


def two_operands(operator: Operator) -> Operands:
    """The first two inputs, int8 or int16 with one scale each.

    Raises:
        UnsupportedOpError: Both are constant, one is of another type, or they differ in it.
    """
    first, second = quantised_input(operator, 0, "first operand"), quantised_input(operator, 1, "second operand")
    if first.dtype != second.dtype:
        raise unsupported(operator, second, f"is {second.dtype} beside {first.dtype}", "operands of one type")
    if first.is_constant and second.is_constant:
        raise unsupported(operator, operator.output, "is computed from constants only", "at least one activation")
    return Operands(
        tensors=(first, second),
        constants=(_constant(first), _constant(second)),
        activations=(second if first.is_constant else first, first if second.is_constant else second),
    )


def _constant(tensor: Tensor) -> ConstantArray | None:
    return None if tensor.data is None else ConstantArray(tensor.data)
