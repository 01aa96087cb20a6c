"""LOG_SOFTMAX of int8 values, over the last axis."""

from typing import TYPE_CHECKING

from tinyedge.ops.descriptor import INT8, OperatorDescriptor, one_scale
from tinyedge.ops.kernel_call import ConstantArray, Kernel, KernelCall
from tinyedge.ops.overlap import in_place
from tinyedge.ops.rules import int8_activation, int8_output, scale, unsupported, zero_point
from tinyedge.ops.softmax import exponentials
from tinyedge.tflite.fixed_point import INT32_MAX, quantise_multiplier
from tinyedge.tflite.graph import Operator

if TYPE_CHECKING:
    import torch

_KERNEL = Kernel("te_log_softmax_s8", "te_log_softmax_params")
_INTEGER_BITS = 5
_MAX_DEPTH = 4_095
_OUTPUT = one_scale(1 / 16, 127)


def _lower(operator: Operator) -> KernelCall:
    source, output = int8_activation(operator), int8_output(operator)
    if not source.shape or source.shape != output.shape or source.shape[-1] > _MAX_DEPTH:
        raise unsupported(
            operator,
            source,
            f"has shape {list(source.shape)} for the output's {list(output.shape)}",
            f"{operator.op} of up to {_MAX_DEPTH} values without a change of shape",
        )
    if not output.q.equals(_OUTPUT):
        raise unsupported(
            operator,
            output,
            f"has scale {scale(output):g} and zero point {zero_point(output)}",
            "results of scale 1/16 and zero point 127",
        )
    exps = exponentials(operator, scale(source), 1.0)
    real = min(scale(source) * 2 ** (31 - _INTEGER_BITS), float(INT32_MAX))
    multiplier, shift = quantise_multiplier(real)
    reverse_multiplier, reverse_shift = quantise_multiplier(2.0 ** (31 - shift) / multiplier)
    if reverse_shift > 0:
        raise unsupported(operator, source, f"has scale {scale(source):g}", "scales above 2^-25")
    furthest = ((2**_INTEGER_BITS - 1) << (31 - _INTEGER_BITS)) >> shift
    depth = source.shape[-1]
    return KernelCall(
        kernel=_KERNEL,
        fields={
            "rows": source.elements // depth,
            "depth": depth,
            "levels": len(exps),
            "multiplier": multiplier,
            "shift": shift,
            "reverse_multiplier": reverse_multiplier,
            "reverse_shift": reverse_shift,
            "least": -furthest - 1,
            "exps": ConstantArray(exps),
        },
        inputs=(source,),
        output=output,
        op=operator.op,
        name=output.name,
        overlaps=in_place(output, source),
    )


def _float(operator: Operator, x: "torch.Tensor") -> "torch.Tensor":
    return x.log_softmax(dim=-1)


OPERATORS = (
    OperatorDescriptor(
        name="LOG_SOFTMAX",
        lower=_lower,
        versions={"int8": 2},
        tflm_types=INT8,
        output_quantisation={"int8": _OUTPUT},
        float_function=_float,
    ),
)
