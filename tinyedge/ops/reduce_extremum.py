"""REDUCE_MAX and REDUCE_MIN: the largest and the smallest value along some axes."""

from functools import partial
from typing import TYPE_CHECKING

from tinyedge.ops.descriptor import INT8, OperatorDescriptor
from tinyedge.ops.kernel_call import Kernel, KernelCall
from tinyedge.ops.moves import of_codes
from tinyedge.ops.reduction import reduced, reduction
from tinyedge.ops.rules import int8_activation, int8_output, same_quantisation, unsupported
from tinyedge.tflite.graph import Operator

if TYPE_CHECKING:
    import torch

_ANY_COUNT = 2**31 - 1


def _lower(operator: Operator, kernel: Kernel) -> KernelCall:
    source, output = int8_activation(operator), int8_output(operator)
    if not same_quantisation(source, output):
        raise unsupported(
            operator, output, f"is rescaled by {operator.op}", f"{operator.op} without a change of scale or zero point"
        )
    return KernelCall(
        kernel=kernel,
        fields=reduction(operator, source, _ANY_COUNT).fields,
        inputs=(source,),
        output=output,
        op=operator.op,
        name=output.name,
    )


def _float_max(operator: Operator, x: "torch.Tensor", axes: "torch.Tensor") -> "torch.Tensor":
    return reduced(operator, x, axes, lambda values, over: values.amax(over))


def _float_min(operator: Operator, x: "torch.Tensor", axes: "torch.Tensor") -> "torch.Tensor":
    return reduced(operator, x, axes, lambda values, over: values.amin(over))


OPERATORS = tuple(
    OperatorDescriptor(
        name=name,
        inputs=(2, 2),
        lower=partial(_lower, kernel=Kernel(f"te_{name.lower()}_s8", "te_reduce_params")),
        versions={"int8": 2},
        tflm_types=INT8,
        keeps_quantisation=True,
        float_function=function,
        integer_layer=of_codes(function),
    )
    for name, function in (("REDUCE_MAX", _float_max), ("REDUCE_MIN", _float_min))
)
