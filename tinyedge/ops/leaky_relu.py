"""LEAKY_RELU."""

from tinyedge.ops.descriptor import INT8, OperatorDescriptor
from tinyedge.ops.kernel_call import KernelCall
from tinyedge.ops.rules import int8_activation, int8_output, requantisation_multiplier, scale, unsupported, zero_point
from tinyedge.ops.table import codes_of, table_call
from tinyedge.tflite.fixed_point import clamp, requantise
from tinyedge.tflite.graph import Operator


def _lower(operator: Operator) -> KernelCall:
    """Lower LEAKY_RELU with a slope that is not negative: two requantisation multipliers, one for each side of zero."""
    source, output = int8_activation(operator), int8_output(operator)
    slope = float(operator.options.get("alpha", 0.0))
    if not slope >= 0:
        raise unsupported(operator, output, f"has the slope {slope:g}", "slopes that are not negative")
    above = requantisation_multiplier(operator, scale(source) / scale(output))
    below = requantisation_multiplier(operator, scale(source) * slope / scale(output))

    def evaluate(value: int) -> int:
        difference = value - zero_point(source)
        scaled = requantise(difference, *(above if difference >= 0 else below))
        return clamp(scaled + zero_point(output), -128, 127)

    return table_call(operator, evaluate)


OPERATORS = (OperatorDescriptor(name="LEAKY_RELU", lower=_lower, tflm_types=INT8, codes=codes_of(_lower)),)
