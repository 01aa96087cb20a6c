"""Any function of one int8 value: a table of its 256 results, computed as the reference interpreter computes them.

TABLE is no operator of TFLite: the pass `fuse_tables` makes it of several.
"""

from collections.abc import Callable

import numpy as np

from tinyedge.ops.kernel_call import ConstantArray, KernelCall
from tinyedge.ops.overlap import in_place
from tinyedge.ops.registry import lowers
from tinyedge.ops.rules import int8_activation, int8_output, unsupported
from tinyedge.tflite.graph import Operator


def table_call(operator: Operator, function: Callable[[int], int]) -> KernelCall:
    """Look the results of an operator up.

    Args:
        operator: Has one int8 input and one int8 output.
        function: From an int8 value to an int8 value.

    Raises:
        UnsupportedOpError: A type is another, or the output has another size than the input.
    """
    return lookup(operator, np.array([function(value) for value in range(-128, 128)], dtype=np.int8))


def lookup(operator: Operator, table: np.ndarray) -> KernelCall:
    """Look the results of an operator up in a table (256,) int8 of the values from -128 to 127.

    Raises:
        UnsupportedOpError: A type is another, or the output has another size than the input.
    """
    source, output = int8_activation(operator), int8_output(operator)
    if source.elements != output.elements:
        raise unsupported(operator, output, f"has shape {list(output.shape)}", f"shape {list(source.shape)}")
    return KernelCall(
        function="te_table_s8",
        struct="te_table_params",
        fields={"count": output.elements, "table": ConstantArray(table)},
        inputs=(source,),
        output=output,
        op=operator.op,
        name=output.name,
        overlaps=in_place(output, source),
    )


@lowers("TABLE")
def lower_table(operator: Operator) -> KernelCall:
    """Lower what `fuse_tables` made; a file's own custom operator of this name has no table."""
    table = operator.options.get("table")
    if not isinstance(table, np.ndarray):
        raise unsupported(operator, operator.outputs[0], "is custom", "TFLite's own operators")
    return lookup(operator, table)
