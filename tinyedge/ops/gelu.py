"""GELU. TFLite Micro has none; LiteRT has, and is the reference here."""

from tinyedge.ops.gelu_codes import gelu_codes
from tinyedge.ops.kernel_call import KernelCall
from tinyedge.ops.registry import lowers
from tinyedge.ops.rules import int8_activation, int8_output
from tinyedge.ops.table import lookup
from tinyedge.tflite.graph import Operator


@lowers("GELU")
def lower_gelu(operator: Operator) -> KernelCall:
    """Lower GELU, by the error function or by the hyperbolic tangent."""
    source, output = int8_activation(operator), int8_output(operator)
    assert source.quantisation is not None
    assert output.quantisation is not None
    approximate = bool(operator.options.get("approximate", False))
    return lookup(operator, gelu_codes(source.quantisation, output.quantisation, approximate))
