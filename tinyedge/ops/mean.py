"""MEAN and SUM."""

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from tinyedge.ops.descriptor import INT8_AND_INT16, FloatFunction, IntegerLayer, OperatorDescriptor
from tinyedge.ops.kernel_call import Kernel, KernelCall
from tinyedge.ops.reduction import reduced, reduction
from tinyedge.ops.rules import (
    constant_integers,
    element,
    output_like,
    quantised_activation,
    requantisation_multiplier,
    scale,
    zero_point,
)
from tinyedge.tflite.graph import Operator

if TYPE_CHECKING:
    import torch

# The sum of as many differences of int8 values, or of int16 values, fits 32 bits.
_MAX_COUNTS = {np.dtype(np.int8): 2**23, np.dtype(np.int16): 2**16 - 1}

KERNELS = {element: Kernel(f"te_mean_{element}", "te_mean_params") for element in ("s8", "s16")}
"""By the type of its input."""


def _lower(operator: Operator, divides: bool) -> KernelCall:
    """Lower the sum over any axes, or its quotient by their size."""
    source = quantised_activation(operator)
    output = output_like(operator, source)
    found = reduction(operator, source, _MAX_COUNTS[source.dtype])
    multiplier, shift = requantisation_multiplier(operator, scale(source) / scale(output))
    if divides:
        # The division joins the requantisation multiplier, which is widened by as many bits as the count has.
        bits = min(found.count.bit_length() - 1, 31 + shift)
        multiplier, shift = (multiplier << bits) // found.count, shift - bits
    return KernelCall(
        kernel=KERNELS[element(source)],
        fields={
            **found.fields,
            "input_zero_point": zero_point(source),
            "output_zero_point": zero_point(output),
            "multiplier": multiplier,
            "shift": shift,
        },
        inputs=(source,),
        output=output,
        op=operator.op,
        name=output.name,
    )


def _float_mean(operator: Operator, x: "torch.Tensor", axes: "torch.Tensor") -> "torch.Tensor":
    return reduced(operator, x, axes, lambda values, over: values.mean(over))


def _float_sum(operator: Operator, x: "torch.Tensor", axes: "torch.Tensor") -> "torch.Tensor":
    return reduced(operator, x, axes, lambda values, over: values.sum(over))


def _integer_layer(operator: Operator, divides: bool, function: FloatFunction) -> IntegerLayer:
    import torch

    from tinyedge.ops.arithmetic import integers

    call, axes = _lower(operator, divides), torch.tensor(constant_integers(operator, 1, "axes"))
    zero = integers.integer(call, "input_zero_point")
    scales = integers.scales(operator.input(0)) / integers.scales(operator.output)
    multiplier, shift = integers.constants(call, "multiplier"), integers.constants(call, "shift")

    def run(inputs: "list[torch.Tensor]") -> "torch.Tensor":
        x = inputs[0] - zero
        exact = _float_sum(operator, x.detach().double(), axes)
        results = integers.requantise(exact, multiplier, shift)
        return integers.finish(call, results, function(operator, x, axes) * scales)

    return run


OPERATORS = (
    OperatorDescriptor(
        name="MEAN",
        inputs=(2, 2),
        lower=partial(_lower, divides=True),
        versions={"int8": 2, "int16": 3},
        tflm_types=INT8_AND_INT16,
        passes_offsets=True,
        float_function=_float_mean,
        integer_layer=partial(_integer_layer, divides=True, function=_float_mean),
    ),
    OperatorDescriptor(
        name="SUM",
        inputs=(2, 2),
        lower=partial(_lower, divides=False),
        versions={"int8": 2, "int16": 2},
        tflm_types=INT8_AND_INT16,
        float_function=_float_sum,
        integer_layer=partial(_integer_layer, divides=False, function=_float_sum),
    ),
)
