"""L2_NORMALIZATION: each row, of the last axis, over the root of the sum of its squares."""

from tinyedge.ops.descriptor import INT8, OperatorDescriptor, one_scale
from tinyedge.ops.kernel_call import Kernel, KernelCall
from tinyedge.ops.overlap import in_place
from tinyedge.ops.rules import int8_activation, int8_output, unsupported, zero_point
from tinyedge.tflite.graph import Operator

_KERNEL = Kernel("te_l2_normalization_s8", "te_l2_normalization_params")
# The sum of as many squares of differences of int8 values fits 32 bits.
_MAX_DEPTH = 33_025


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


OPERATORS = (
    OperatorDescriptor(
        name="L2_NORMALIZATION",
        lower=_lower,
        versions={"int8": 2},
        tflm_types=INT8,
        output_quantisation={"int8": one_scale(1 / 128, 0)},
    ),
)
