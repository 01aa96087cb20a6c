"""L2_NORMALIZATION: each row, of the last axis, over the root of the sum of its squares.

STANDARDISE is no operator of TFLite: `tinyedge.quantisation.layer_norms` makes it of the middle of a
LayerNormalization. It is the same but for what is added to the variance, which rows of as many constants more have.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from tinyedge.ops.descriptor import INT8, IntegerLayer, OperatorDescriptor, one_scale
from tinyedge.ops.kernel_call import Kernel, KernelCall
from tinyedge.ops.overlap import in_place
from tinyedge.ops.rules import int8_activation, int8_output, unsupported, zero_point
from tinyedge.tflite.fixed_point import INT8_MAX, INT8_MIN, inverse_sqrt
from tinyedge.tflite.graph import Operator, Tensor, integer_constant

if TYPE_CHECKING:
    import torch

_KERNEL = Kernel("te_l2_normalization_s8", "te_l2_normalization_params")
# The sum of as many squares of differences of int8 values fits 32 bits.
_MAX_DEPTH = 33_025
_OUTPUT_BITS = 7  # It has 128 steps to 1.
_LOST_DEVIATION = 0.5  # Of a step.
_LEAST_NORM = 1e-6  # Of LiteRT's float kernel.
_NO_ACTIVATION = {"fused_activation_function": "NONE"}


def _lower(operator: Operator) -> KernelCall:
    """Lower L2_NORMALIZATION to an output in steps of 1/128."""
    source, output = int8_activation(operator), int8_output(operator)
    depth = source.shape[-1] if source.shape else 0
    if not output.q.equals(one_scale(1 / 128, 0)):
        raise unsupported(
            operator,
            output,
            f"has scale {output.q.scale:g} and zero point {zero_point(output)}",
            "results of scale 1/128 and zero point 0",
        )
    if source.shape != output.shape or not 1 <= depth <= _MAX_DEPTH:
        raise unsupported(
            operator,
            output,
            f"has shape {list(output.shape)} from {list(source.shape)}",
            f"rows of at most {_MAX_DEPTH} values",
        )
    if operator.options.get("fused_activation_function", "NONE") != "NONE":
        raise unsupported(operator, output, "has a fused activation", f"{operator.op} without one")
    return KernelCall(
        kernel=_KERNEL,
        fields={"rows": source.elements // depth, "depth": depth, "input_zero_point": zero_point(source)},
        inputs=(source,),
        output=output,
        op=operator.op,
        name=output.name,
        overlaps=in_place(output, source),
    )


def _float(operator: Operator, x: "torch.Tensor") -> "torch.Tensor":
    import torch.nn.functional as F

    return F.normalize(x, dim=-1, eps=_LEAST_NORM)


def _integer_layer(operator: Operator) -> IntegerLayer:
    import torch

    from tinyedge.ops.arithmetic.integers import requantise, straight_through

    zero = zero_point(operator.input(0))

    def run(inputs: "list[torch.Tensor]") -> "torch.Tensor":
        values = inputs[0] - zero
        sums, rows = values.detach().double().square().sum(-1, keepdim=True).long().unique(return_inverse=True)
        inverses = torch.tensor([inverse_sqrt(int(total)) for total in sums])
        exact = requantise(values.detach().double(), inverses[rows, 0], inverses[rows, 1] + _OUTPUT_BITS)
        return straight_through(exact, _float(operator, values) * 2**_OUTPUT_BITS)

    return run


def _standardise(operator: Operator, tensors: Mapping[Tensor, Tensor]) -> list[Operator]:
    """The L2_NORMALIZATION that STANDARDISE is in INT8.

    What is added to the variance is what the squares of constants at the end of each row add to their sum. It is left
    out where its root is no more than half a step of the row, which loses as much when it is rounded.
    """
    source, output = tensors[operator.input(0)], tensors[operator.output]
    epsilon = operator.options["epsilon"] / float(source.q.scale) ** 2  # In squared steps.
    if epsilon <= _LOST_DEVIATION**2:
        return [Operator("L2_NORMALIZATION", (source,), (output,), dict(_NO_ACTIVATION), 2, operator.index)]
    total, zero = epsilon * source.shape[-1], source.q.zero_point
    furthest = max((INT8_MIN - zero, INT8_MAX - zero), key=abs)
    count = math.ceil(total / furthest**2)
    code = zero + round(math.copysign(math.sqrt(total / count), furthest))
    shape = (*source.shape[:-1], count)
    added = Tensor(f"{output.name}/added", shape, source.dtype, source.quantisation, np.full(shape, code, np.int8))
    long, unit = (
        dataclasses.replace(tensor, name=f"{output.name}/{name}", shape=(*source.shape[:-1], source.shape[-1] + count))
        for tensor, name in ((source, "with_added"), (output, "long"))
    )
    bounds = (integer_constant(f"{output.name}/begin", [0] * len(shape)), integer_constant("size", output.shape))
    axis = {"axis": len(shape) - 1, **_NO_ACTIVATION}
    return [
        Operator("CONCATENATION", (source, added), (long,), axis, 2, operator.index),
        Operator("L2_NORMALIZATION", (long,), (unit,), dict(_NO_ACTIVATION), 2, operator.index),
        Operator("SLICE", (unit, *bounds), (output,), {}, 2, operator.index),
    ]


def _float_standardise(operator: Operator, x: "torch.Tensor") -> "torch.Tensor":
    epsilon: float = operator.options["epsilon"]
    deviations = (x.square().mean(dim=-1, keepdim=True) + epsilon).sqrt()
    return x / (deviations * math.sqrt(x.shape[-1]))


_OUTPUT = one_scale(1 / 2**_OUTPUT_BITS, 0)

OPERATORS = (
    OperatorDescriptor(
        name="L2_NORMALIZATION",
        lower=_lower,
        versions={"int8": 2},
        tflm_types=INT8,
        output_quantisation={"int8": _OUTPUT},
        float_function=_float,
        integer_layer=_integer_layer,
    ),
    OperatorDescriptor(
        name="STANDARDISE",
        expand=_standardise,
        output_quantisation={"int8": _OUTPUT},
        float_function=_float_standardise,
    ),
)
