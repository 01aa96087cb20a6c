"""CONCATENATION."""

import numpy as np

from tinyedge.ops.descriptor import INT8, OperatorDescriptor
from tinyedge.ops.kernel_call import ConstantArray, Kernel, KernelCall
from tinyedge.ops.rules import (
    element,
    quantised_activation,
    quantised_output,
    same_quantisation,
    tensor_input,
    unsupported,
)
from tinyedge.tflite.graph import Operator

_KERNELS = {element: Kernel(f"te_concatenation_{element}", "te_concatenation_params") for element in ("s8", "s16")}


def _lower(operator: Operator) -> KernelCall:
    """Lower CONCATENATION of activations in one quantisation."""
    output = quantised_output(operator)
    sources = tuple(quantised_activation(operator, position) for position in range(len(operator.inputs)))
    first = tensor_input(operator, 0, "input")
    rank = len(first.shape)
    axis = operator.options.get("axis", 0)
    axis += rank if axis < 0 else 0
    if operator.options.get("fused_activation_function", "NONE") != "NONE":
        raise unsupported(operator, output, "has a fused activation", "CONCATENATION without one")
    for source in sources:
        if not same_quantisation(source, output):
            raise unsupported(operator, source, "is rescaled", "inputs with the output's scale and zero point")
    joined = sum(source.shape[axis] for source in sources if len(source.shape) == rank > axis >= 0)
    expected = (*first.shape[:axis], joined, *first.shape[axis + 1 :])
    others = {(*source.shape[:axis], *source.shape[axis + 1 :]) for source in sources}
    if not 0 <= axis < rank or output.shape != expected or len(others) != 1:
        raise unsupported(
            operator,
            output,
            f"has shape {list(output.shape)} along axis {axis}",
            f"inputs, here {', '.join(str(list(source.shape)) for source in sources)}, that join to it",
        )
    outer = int(np.prod(first.shape[:axis], dtype=np.int64))
    inner = np.array([source.elements // outer for source in sources], dtype=np.int32)
    return KernelCall(
        kernel=_KERNELS[element(output)],
        fields={"inputs": len(sources), "outer": outer, "inner": ConstantArray(inner)},
        inputs=sources,
        output=output,
        op=operator.op,
        name=output.name,
        inputs_as_array=True,
    )


OPERATORS = (OperatorDescriptor(name="CONCATENATION", lower=_lower, tflm_types=INT8),)
