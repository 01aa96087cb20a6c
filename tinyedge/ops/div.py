"""DIV of floats, with broadcasting: converters leave it between DEQUANTIZE and QUANTIZE.

TFLite Micro's int8 DIV shifts quotients near 0 by more bits than there are, whose result C leaves undefined, and no
converter writes it.
"""

import numpy as np

from tinyedge.ops.broadcasting import broadcast_loops
from tinyedge.ops.descriptor import OperatorDescriptor
from tinyedge.ops.kernel_call import Kernel, KernelCall
from tinyedge.ops.operands import Operands
from tinyedge.ops.overlap import in_place
from tinyedge.ops.rules import only_output, tensor_input, unsupported
from tinyedge.tflite.graph import Operator

_KERNEL = Kernel("te_div_f32", "te_div_f32_params")


def _lower(operator: Operator) -> KernelCall:
    """Lower DIV of two activations; that of one and a number is a table with the conversions around it."""
    first, second = tensor_input(operator, 0, "dividend"), tensor_input(operator, 1, "divisor")
    output = only_output(operator)
    for tensor in (first, second, output):
        if tensor.dtype != np.float32 or tensor.is_constant:
            problem = "is constant" if tensor.is_constant else f"is {tensor.dtype}"
            raise unsupported(operator, tensor, problem, "DIV of float32 activations between DEQUANTIZE and QUANTIZE")
    activation = operator.options.get("fused_activation_function", "NONE")
    if activation != "NONE":
        raise unsupported(operator, output, f"has the fused activation {activation}", "DIV without one")
    return KernelCall(
        kernel=_KERNEL,
        fields={**broadcast_loops(operator, Operands((first, second), (None, None), (first, second)))},
        inputs=(first, second),
        output=output,
        op=operator.op,
        name=output.name,
        overlaps=in_place(output, first, second),
    )


OPERATORS = (OperatorDescriptor(name="DIV", inputs=(2, 2), lower=_lower, is_function=True),)
