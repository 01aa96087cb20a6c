"""PAD and PADV2."""

from typing import TYPE_CHECKING

import numpy as np

from tinyedge.ops.broadcasting import dense_strides
from tinyedge.ops.descriptor import INT8_AND_INT16, IntegerLayer, OperatorDescriptor
from tinyedge.ops.kernel_call import Kernel, KernelCall
from tinyedge.ops.loops import MAX_LOOPS, loop_fields
from tinyedge.ops.rules import (
    constant_integers,
    element,
    output_like,
    quantised_activation,
    quantised_input,
    same_quantisation,
    unsupported,
    zero_point,
)
from tinyedge.tflite.graph import Operator, Tensor

if TYPE_CHECKING:
    import torch

# Converters write -infinity or the lowest float32 of what no value may fall short of.
_AS_GOOD_AS_INFINITE = 1e30

_KERNELS = {element: Kernel(f"te_pad_{element}", "te_pad_params") for element in ("s8", "s16")}


def _lower(operator: Operator) -> KernelCall:
    """Lower PAD with the output's zero point, or PADV2 with its constant."""
    source = quantised_activation(operator)
    output = output_like(operator, source)
    rank = len(source.shape)
    amounts = constant_integers(operator, 1, "paddings")
    if rank > MAX_LOOPS or len(amounts) != 2 * rank or min(amounts, default=0) < 0:
        raise unsupported(
            operator, source, f"has rank {rank} padded by {amounts}", f"ranks up to {MAX_LOOPS}, two paddings an axis"
        )
    before, after = amounts[::2], amounts[1::2]
    if output.shape != tuple(a + size + b for a, size, b in zip(before, source.shape, after, strict=True)):
        raise unsupported(operator, output, f"has shape {list(output.shape)}", "the input's shape with its paddings")
    strides = dense_strides(output.shape)
    start = sum(amount * stride for amount, stride in zip(before, strides, strict=True))
    # An axis without padding joins the one before it: its elements stay together.
    loops: list[tuple[int, int]] = []
    for size, padded, stride in zip(source.shape, output.shape, strides, strict=True):
        if loops and size == padded:
            loops[-1] = (loops[-1][0] * size, stride)
        else:
            loops.append((size, stride))
    return KernelCall(
        kernel=_KERNELS[element(source)],
        fields={
            **loop_fields(loops),
            "start": start,
            "count": output.elements,
            "value": _fill(operator),
        },
        inputs=(source,),
        output=output,
        op=operator.op,
        name=output.name,
    )


def _fill(operator: Operator) -> int:
    """The code of what is padded."""
    output = operator.output
    if len(operator.inputs) == len(("input", "paddings")):
        return zero_point(output)
    fill = quantised_input(operator, 2, "padding value")
    if fill.data is None or fill.elements != 1 or not same_quantisation(fill, output):
        raise unsupported(
            operator, fill, f"is a padding value of shape {list(fill.shape)}", "one constant quantised as the output"
        )
    return int(fill.data.reshape(-1)[0])


def _moves_nothing(operator: Operator, source: Tensor) -> bool:
    paddings = operator.optional_input(1)
    same = source.shape == operator.output.shape and source.quantisation is not None
    return same and paddings is not None and paddings.data is not None and not np.any(paddings.data)


def _float(
    operator: Operator, x: "torch.Tensor", amounts: "torch.Tensor", value: "torch.Tensor | None" = None
) -> "torch.Tensor":
    import torch.nn.functional as F

    from tinyedge.ops.arithmetic.floats import batched, samples

    widths = [int(amount) for pair in amounts.flip(0) for amount in pair]
    return batched(operator, F.pad(samples(operator.input(0), x), widths, value=0.0 if value is None else float(value)))


def _float_v2(operator: Operator, x: "torch.Tensor", amounts: "torch.Tensor", value: "torch.Tensor") -> "torch.Tensor":
    """Pad with a value; one that stands for infinity, as before a MAX_POOL_2D, is the lowest or highest there is."""
    if value.abs() > _AS_GOOD_AS_INFINITE:
        value = value.clamp(x.min(), x.max())
    return _float(operator, x, amounts, value)


def _integer_layer(operator: Operator) -> IntegerLayer:
    import torch

    value, amounts = float(_fill(operator)), torch.from_numpy(operator.input(1).values)
    return lambda inputs: _float(operator, inputs[0], amounts, torch.tensor(value))


OPERATORS = (
    OperatorDescriptor(
        name="PAD",
        inputs=(2, 2),
        lower=_lower,
        versions={"int8": 2, "int16": 3},
        tflm_types=INT8_AND_INT16,
        keeps_quantisation=True,
        moves_nothing=_moves_nothing,
        float_function=_float,
        integer_layer=_integer_layer,
    ),
    OperatorDescriptor(
        name="PADV2",
        inputs=(3, 3),
        lower=_lower,
        versions={"int8": 2, "int16": 3},
        tflm_types=INT8_AND_INT16,
        keeps_quantisation=True,
        moves_nothing=_moves_nothing,
        float_function=_float_v2,
        integer_layer=_integer_layer,
    ),
)
