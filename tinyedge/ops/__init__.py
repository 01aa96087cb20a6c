"""From an operator to the call of a C kernel, with every number that the kernel needs worked out."""

from tinyedge.errors import UnsupportedOpError
from tinyedge.ops import (  # noqa: F401 - they register themselves.
    batch_matmul,
    conv,
    elementwise,
    fully_connected,
    gelu,
    hard_swish,
    leaky_relu,
    mean,
    movement,
    pool,
    rescale,
    sigmoid,
    softmax,
    table,
)
from tinyedge.ops.kernel_call import KernelCall
from tinyedge.ops.registry import LOWERINGS
from tinyedge.tflite.graph import Operator


def supported_operators() -> list[str]:
    """TFLite's names of the operators that have a kernel, sorted."""
    return sorted(LOWERINGS)


def lower(operator: Operator) -> KernelCall:
    """Choose the kernel for an operator and compute its parameters.

    Args:
        operator: Int8 or int16 activations with one scale each; weights and shape-like inputs constant.

    Returns:
        The call. Its `inputs` name the activations in the kernel's order; where a kernel of two inputs takes a
        constant, which is then among the fields, the one activation stands in both places.

    Raises:
        UnsupportedOpError: There is no kernel for the operator or for this form of it.
    """
    lowering = LOWERINGS.get(operator.op)
    if lowering is None:
        tensor = operator.outputs[0].name if operator.outputs else ""
        raise UnsupportedOpError(
            f"operator {operator.index} ({operator.op}), tensor '{tensor}' has no kernel: "
            f"the compiler supports {', '.join(supported_operators())}"
        )
    return lowering(operator)
