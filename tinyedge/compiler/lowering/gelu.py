"""GELU. TFLite Micro has none; LiteRT has, and is the reference here."""

from tinyedge.compiler.gelu import gelu_codes
from tinyedge.compiler.graph import Operator
from tinyedge.compiler.kernel_call import KernelCall
from tinyedge.compiler.lowering.registry import lowers
from tinyedge.compiler.lowering.rules import int8_activation, int8_output
from tinyedge.compiler.lowering.table import lookup


@lowers("GELU")
def lower_gelu(operator: Operator) -> KernelCall:
    """Lower GELU, by the error function or by the hyperbolic tangent."""
    source, output = int8_activation(operator), int8_output(operator)
    assert source.quantisation is not None
    assert output.quantisation is not None
    approximate = bool(operator.options.get("approximate", False))
    return lookup(operator, gelu_codes(source.quantisation, output.quantisation, approximate))
