"""PRELU: a slope below zero for each channel, or of any shape that broadcasts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tinyedge.errors import UnsupportedOpError
from tinyedge.ops.broadcasting import broadcast_loops
from tinyedge.ops.descriptor import INT8_AND_INT16, IntegerLayer, OperatorDescriptor
from tinyedge.ops.kernel_call import ConstantArray, Kernel, KernelCall, integer_fields
from tinyedge.ops.operands import Operands
from tinyedge.ops.overlap import in_place
from tinyedge.ops.rules import (
    element,
    output_like,
    quantised_activation,
    quantised_input,
    requantisation_multiplier,
    scale,
    unsupported,
    zero_point,
)
from tinyedge.tflite.fixed_point import requantise
from tinyedge.tflite.graph import Operator

if TYPE_CHECKING:
    import torch

_KERNELS = {element: Kernel(f"te_prelu_{element}", "te_prelu_params") for element in ("s8", "s16")}


def _lower(operator: Operator) -> KernelCall:
    source, slopes = quantised_activation(operator), quantised_input(operator, 1, "slopes")
    output = output_like(operator, source)
    if slopes.data is None or slopes.dtype != np.int8:
        kind = "constant" if slopes.is_constant else "computed"
        raise unsupported(operator, slopes, f"holds {kind} {slopes.dtype} slopes", "constant int8 slopes")
    if source.elements != output.elements:
        raise unsupported(operator, output, f"has shape {list(output.shape)}", f"shape {list(source.shape)}")
    constant = ConstantArray(slopes.data)
    loops = broadcast_loops(operator, Operands((source, slopes), (None, constant), (source, source)))
    above = requantisation_multiplier(operator, scale(source) / scale(output))
    below = requantisation_multiplier(operator, scale(source) * scale(slopes) / scale(output))
    return KernelCall(
        kernel=_KERNELS[element(source)],
        fields={
            "dims": loops["dims"],
            "strides": loops["strides1"],
            "slope_strides": loops["strides2"],
            "input_zero_point": zero_point(source),
            "slope_zero_point": zero_point(slopes),
            "output_zero_point": zero_point(output),
            "above_multiplier": above[0],
            "above_shift": above[1],
            "below_multiplier": below[0],
            "below_shift": below[1],
            "slopes": constant,
        },
        inputs=(source,),
        output=output,
        op=operator.op,
        name=output.name,
        overlaps=in_place(output, source),
    )


def _codes(operator: Operator, operands: Sequence[np.ndarray]) -> np.ndarray:
    if operator.output.dtype != np.int8:
        raise UnsupportedOpError(f"{operator.op} of {operator.output.dtype}")
    own = integer_fields(_lower(operator))
    values, slopes = operands[0] - own["input_zero_point"], operands[1] - own["slope_zero_point"]
    above = requantise(values, own["above_multiplier"], own["above_shift"])
    below = requantise(values * slopes, own["below_multiplier"], own["below_shift"])
    return np.clip(np.where(values >= 0, above, below) + own["output_zero_point"], -128, 127)


def _float(operator: Operator, x: "torch.Tensor", slopes: "torch.Tensor") -> "torch.Tensor":
    from tinyedge.ops.arithmetic.floats import aligned, batched

    x, slopes = aligned(operator, x, slopes)
    return batched(operator, x.where(x >= 0, x * slopes))


def _integer_layer(operator: Operator) -> IntegerLayer:
    from tinyedge.ops.arithmetic.integers import pair_layer_of

    return pair_layer_of(_codes, _float)(operator)


OPERATORS = (
    OperatorDescriptor(
        name="PRELU",
        inputs=(2, 2),
        lower=_lower,
        versions={"int8": 1, "int16": 1},
        tflm_types=INT8_AND_INT16,
        codes=_codes,
        takes_int8_constants=True,
        is_function=True,
        float_function=_float,
        integer_layer=_integer_layer,
    ),
)
