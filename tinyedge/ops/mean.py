"""MEAN."""

from typing import TYPE_CHECKING

import numpy as np

from tinyedge.ops.broadcasting import dense_strides
from tinyedge.ops.descriptor import INT8_AND_INT16, IntegerLayer, OperatorDescriptor
from tinyedge.ops.kernel_call import Kernel, KernelCall
from tinyedge.ops.rules import (
    constant_integers,
    element,
    output_like,
    quantised_activation,
    requantisation_multiplier,
    scale,
    unsupported,
    zero_point,
)
from tinyedge.tflite.graph import Operator

if TYPE_CHECKING:
    import torch

_LOOPS = 3
# The sum of as many differences of int8 values, or of int16 values, fits 32 bits.
_MAX_COUNTS = {np.dtype(np.int8): 2**23, np.dtype(np.int16): 2**16 - 1}

KERNELS = {element: Kernel(f"te_mean_{element}", "te_mean_params") for element in ("s8", "s16")}
"""By the type of its input."""


def _lower(operator: Operator) -> KernelCall:
    """Lower MEAN over any axes."""
    source = quantised_activation(operator)
    output = output_like(operator, source)
    max_count = _MAX_COUNTS[source.dtype]
    rank = len(source.shape)
    axes = {axis + rank if axis < 0 else axis for axis in constant_integers(operator, 1, "axes")}
    if not axes <= set(range(rank)):
        raise unsupported(operator, source, f"has no axes {sorted(axes)}", f"axes from {-rank} to {rank - 1}")
    loops: dict[bool, list[list[int]]] = {True: [], False: []}  # By "is reduced": [size, stride], outermost first.
    previous: bool | None = None
    for axis, (size, stride) in enumerate(zip(source.shape, dense_strides(source.shape), strict=True)):
        if size == 1:
            continue
        reduced = axis in axes
        if reduced == previous:
            loops[reduced][-1] = [loops[reduced][-1][0] * size, stride]
        else:
            loops[reduced].append([size, stride])
        previous = reduced
    count = 1
    for size, _ in loops[True]:
        count *= size
    if max(len(loops[True]), len(loops[False])) > _LOOPS or count > max_count:
        raise unsupported(
            operator,
            source,
            f"has shape {list(source.shape)} reduced along {sorted(axes)}",
            f"means of at most {max_count} values in {_LOOPS} groups of axes",
        )
    if output.elements * count != source.elements:
        raise unsupported(operator, output, f"has shape {list(output.shape)}", "the shape that is left of the input's")
    multiplier, shift = requantisation_multiplier(operator, scale(source) / scale(output))
    # The division joins the requantisation multiplier, which is widened by as many bits as the count has, then divided.
    bits = min(count.bit_length() - 1, 31 + shift)
    multiplier, shift = (multiplier << bits) // count, shift - bits
    padded = {reduced: [[1, 0]] * (_LOOPS - len(group)) + group for reduced, group in loops.items()}
    return KernelCall(
        kernel=KERNELS[element(source)],
        fields={
            "kept_dims": tuple(size for size, _ in padded[False]),
            "kept_strides": tuple(stride for _, stride in padded[False]),
            "reduced_dims": tuple(size for size, _ in padded[True]),
            "reduced_strides": tuple(stride for _, stride in padded[True]),
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


def _float(operator: Operator, x: "torch.Tensor", axes: "torch.Tensor") -> "torch.Tensor":
    return x.mean(dim=[int(axis) for axis in axes.reshape(-1)], keepdim=operator.options["keep_dims"])


def _integer_layer(operator: Operator) -> IntegerLayer:
    from tinyedge.ops.arithmetic import integers

    call, axes = _lower(operator), constant_integers(operator, 1, "axes")
    zero, keep = integers.integer(call, "input_zero_point"), bool(operator.options["keep_dims"])
    scales = integers.scales(operator.input(0)) / integers.scales(operator.output)
    multiplier, shift = integers.constants(call, "multiplier"), integers.constants(call, "shift")

    def run(inputs: "list[torch.Tensor]") -> "torch.Tensor":
        x = inputs[0] - zero
        exact = x.detach().double().sum(dim=axes, keepdim=keep)
        results = integers.requantise(exact, multiplier, shift)
        return integers.finish(call, results, x.mean(dim=axes, keepdim=keep) * scales)

    return run


OPERATORS = (
    OperatorDescriptor(
        name="MEAN",
        lower=_lower,
        versions={"int8": 2, "int16": 3},
        tflm_types=INT8_AND_INT16,
        passes_offsets=True,
        float_function=_float,
        integer_layer=_integer_layer,
    ),
)
