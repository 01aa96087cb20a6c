"""SOFTMAX, with its exponentials worked out at compile time."""

import numpy as np

from tinyedge.compiler.fixed_point import INT32_MAX, exp_of_negative, high_mul, quantise_multiplier
from tinyedge.compiler.graph import Operator
from tinyedge.compiler.kernel_call import ConstantArray, KernelCall
from tinyedge.compiler.lowering.registry import lowers
from tinyedge.compiler.lowering.rules import int8_activation, int8_output, scale, unsupported, zero_point

# The argument of exp() has 5 integer bits: what is more than 31 below the largest value counts as nothing.
_INTEGER_BITS = 5
# Each value adds up to 2^19 to a sum of 31 bits.
_MAX_DEPTH = 4_095


def exponentials(operator: Operator, input_scale: float, beta: float) -> np.ndarray:
    """exp(-beta * input_scale * i) for i = 0, 1, ... as int32 fractions of 2^31, as far as they count, at most 256.

    Raises:
        UnsupportedOpError: One input step is too small for the fixed-point exponential.
    """
    factor = min(beta * input_scale * 2 ** (31 - _INTEGER_BITS), float(INT32_MAX))
    if factor <= 1.0:
        raise unsupported(
            operator, operator.output, f"has beta * input scale {beta * input_scale:g}", "values above 2^-26"
        )
    multiplier, shift = quantise_multiplier(factor)
    furthest = ((2**_INTEGER_BITS - 1) << (31 - _INTEGER_BITS)) >> shift
    steps = range(min(furthest, 255) + 1)
    values = [exp_of_negative(high_mul(-step << shift, multiplier), _INTEGER_BITS) for step in steps]
    return np.array(values, dtype=np.int32)


@lowers("SOFTMAX")
def lower_softmax(operator: Operator) -> KernelCall:
    """Lower SOFTMAX over the last axis."""
    source, output = int8_activation(operator), int8_output(operator)
    if scale(output) != 1 / 256 or zero_point(output) != -128:
        raise unsupported(
            operator,
            output,
            f"has scale {scale(output):g}, zero point {zero_point(output)}",
            "scale 1/256, zero point -128",
        )
    if not source.shape or source.shape != output.shape or source.shape[-1] > _MAX_DEPTH:
        raise unsupported(
            operator,
            source,
            f"has shape {list(source.shape)}",
            f"rows of at most {_MAX_DEPTH} values",
        )
    exps = exponentials(operator, scale(source), float(operator.options.get("beta", 1.0)))
    depth = source.shape[-1]
    return KernelCall(
        function="te_softmax_s8",
        struct="te_softmax_params",
        fields={"rows": source.elements // depth, "depth": depth, "levels": len(exps), "exps": ConstantArray(exps)},
        inputs=(source,),
        output=output,
        op=operator.op,
        name=output.name,
    )
