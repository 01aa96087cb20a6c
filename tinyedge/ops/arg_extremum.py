"""ARG_MAX and ARG_MIN: where along an axis the largest and the smallest value is, the first where there are several."""

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from tinyedge.ops.descriptor import INT8, IntegerLayer, OperatorDescriptor
from tinyedge.ops.kernel_call import Kernel, KernelCall
from tinyedge.ops.rules import constant_integers, int8_activation, only_output, unsupported
from tinyedge.tflite.graph import Operator

if TYPE_CHECKING:
    import torch


def _lower(operator: Operator, kernel: Kernel) -> KernelCall:
    source, output = int8_activation(operator), only_output(operator)
    axes, rank = constant_integers(operator, 1, "axis"), len(source.shape)
    if len(axes) != 1 or not -rank <= axes[0] < rank:
        raise unsupported(operator, source, f"has no axis {axes}", f"one axis from {-rank} to {rank - 1}")
    axis = axes[0] % rank
    outer, count, inner = math.prod(source.shape[:axis]), source.shape[axis], math.prod(source.shape[axis + 1 :])
    if output.dtype != np.int32:
        raise unsupported(operator, output, f"is {output.dtype}", "int32 indices, as TFLite Micro does")
    if output.elements != outer * inner:
        raise unsupported(operator, output, f"has shape {list(output.shape)}", "the input's shape without the axis")
    return KernelCall(
        kernel=kernel,
        fields={"outer": outer, "count": count, "inner": inner},
        inputs=(source,),
        output=output,
        op=operator.op,
        name=output.name,
    )


def _float(operator: Operator, x: "torch.Tensor", axis: "torch.Tensor", sign: int) -> "torch.Tensor":
    """The indices as floats, that values of one type go through a network."""
    from tinyedge.ops.arithmetic.floats import batched, samples

    source = operator.input(0)
    indices = (samples(source, x) * sign).argmax(int(axis.reshape(())) % len(source.shape) + 1)
    return batched(operator, indices.to(x.dtype))


def _integer_layer(operator: Operator, sign: int) -> IntegerLayer:
    import torch

    axis = torch.tensor(constant_integers(operator, 1, "axis"))
    return lambda inputs: _float(operator, inputs[0], axis, sign)


OPERATORS = tuple(
    OperatorDescriptor(
        name=name,
        inputs=(2, 2),
        lower=partial(_lower, kernel=Kernel(f"te_{name.lower()}_s8", "te_arg_params")),
        versions={"int8": 2},
        tflm_types=INT8,
        float_function=partial(_float, sign=sign),
        integer_layer=partial(_integer_layer, sign=sign),
    )
    for name, sign in (("ARG_MAX", 1), ("ARG_MIN", -1))
)
