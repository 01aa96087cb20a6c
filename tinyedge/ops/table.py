"""Any function of one int8 value: a table of its 256 results, computed as the reference interpreter computes them.

TABLE is no operator of TFLite: the pass `fuse_tables` makes it of several.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from tinyedge.errors import UnsupportedOpError
from tinyedge.ops.descriptor import CodeFunction, FloatFunction, IntegerLayer, Lowering, OperatorDescriptor
from tinyedge.ops.kernel_call import ConstantArray, Kernel, KernelCall
from tinyedge.ops.overlap import in_place
from tinyedge.ops.rules import int8_activation, int8_output, unsupported
from tinyedge.ops.stripes import counted
from tinyedge.tflite.fixed_point import INT8_MAX, INT8_MIN, clamp, round_half_away
from tinyedge.tflite.graph import Operator, Quantisation, Tensor

KERNEL = Kernel("te_table_s8", "te_table_params", stripes=counted)
"""Of any function of one int8 value."""


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
    return byte_lookup(operator, source, output, table)


def byte_lookup(operator: Operator, source: Tensor, output: Tensor, table: np.ndarray) -> KernelCall:
    """Look bytes up by bytes, whatever they stand for.

    Args:
        operator: Whose results they are.
        source: As many bytes as `output` has.
        output: Of a type of one byte.
        table: (256,) int8, by the source's byte as int8, from -128 on.
    """
    return KernelCall(
        kernel=KERNEL,
        fields={"count": output.elements, "table": ConstantArray(table)},
        inputs=(source,),
        output=output,
        op=operator.op,
        name=output.name,
        overlaps=in_place(output, source),
    )


def float_codes(
    operator: Operator, source: Quantisation, output: Quantisation, function: Callable[[float], float]
) -> np.ndarray:
    """Return the codes of a function for the codes -128 ... 127, rounded once, in single precision as LiteRT does.

    Args:
        operator: Whose function it is.
        source: Of the input; one scale.
        output: Of the output; one scale.
        function: From a real to a real, of which single precision is kept. It may be infinite.

    Returns:
        (256,) int8.

    Raises:
        UnsupportedOpError: A result is no number, as the scales are at an end of single precision.
    """
    codes = []
    with np.errstate(over="ignore", invalid="ignore"):
        steps_of_one = np.float32(1) / output.scales[0]
        for code in range(-128, 128):
            real = source.scales[0] * np.float32(code - source.zero_point)
            steps = float(np.float32(function(float(real))) * steps_of_one)
            if math.isnan(steps):
                raise unsupported(
                    operator,
                    operator.outputs[0],
                    f"has scale {output.scale:g} and the input {source.scale:g}, by which code {code} has no result",
                    "scales whose codes and quotients stay within single precision",
                )
            codes.append(clamp(round_half_away(bounded_steps(steps)) + output.zero_point, -128, 127))
    return np.array(codes, dtype=np.int8)


def bounded_steps(steps: float) -> float:
    """A number of steps, infinite too, as one that an integer holds: any beyond int8's is as good as a thousand."""
    return min(max(steps, -1000.0), 1000.0)


def codes_of(lowering: Lowering) -> CodeFunction:
    """The function of an operator whose kernel is a table."""

    def codes(operator: Operator, operands: Sequence[np.ndarray]) -> np.ndarray:
        results: np.ndarray = _table_of(operator, lowering).astype(np.int64)[operands[0] - INT8_MIN]
        return results

    return codes


def integer_layer_of(lowering: Lowering, function: FloatFunction) -> Callable[[Operator], IntegerLayer]:
    """The integer layer of an operator whose kernel is a table, with the gradient of its float function."""

    def layer(operator: Operator) -> IntegerLayer:
        from tinyedge.ops.arithmetic.integers import table_layer

        return table_layer(operator, _table_of(operator, lowering), function)

    return layer


def _table_of(operator: Operator, lowering: Lowering) -> np.ndarray:
    table = lowering(operator).fields.get("table")
    if operator.output.dtype != np.int8 or not isinstance(table, ConstantArray):
        raise UnsupportedOpError(f"operator {operator.index} ({operator.op}) is no table of int8 values")
    return table.values


def _lower(operator: Operator) -> KernelCall:
    """Lower what `fuse_tables` made; a file's own custom operator of this name has no table."""
    table = operator.options.get("table")
    if not isinstance(table, np.ndarray):
        raise unsupported(operator, operator.outputs[0], "is custom", "TFLite's own operators")
    return lookup(operator, table)


def _constant_channel(operator: Operator, value: int) -> int:
    return int(operator.options["table"][value - INT8_MIN])


def _is_identity(operator: Operator, source: Tensor) -> bool:
    table = operator.options.get("table")
    same = source.shape == operator.output.shape
    return same and isinstance(table, np.ndarray) and np.array_equal(table, np.arange(INT8_MIN, INT8_MAX + 1))


OPERATORS = (
    OperatorDescriptor(name="TABLE", lower=_lower, moves_nothing=_is_identity, constant_channel=_constant_channel),
)
