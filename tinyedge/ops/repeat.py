"""BROADCAST_TO and TILE, which repeat a tensor."""

import numpy as np

from tinyedge.ops.broadcasting import dense_strides
from tinyedge.ops.descriptor import INT8_AND_INT16, OperatorDescriptor
from tinyedge.ops.kernel_call import KernelCall
from tinyedge.ops.moves import in_torch
from tinyedge.ops.rules import constant_integers, output_like, quantised_activation, unsupported
from tinyedge.ops.strided_copy import strided_copy
from tinyedge.tflite.graph import Operator


def _lower_broadcast(operator: Operator) -> KernelCall:
    """Lower BROADCAST_TO: axes of size 1, and those that are added in front, are repeated."""
    source = quantised_activation(operator)
    output = output_like(operator, source)
    shape = constant_integers(operator, 1, "shape")
    added = len(shape) - len(source.shape)
    sizes = [1] * added + [*source.shape]
    if added < 0 or any(size not in (1, wanted) for size, wanted in zip(sizes, shape, strict=True)):
        raise unsupported(
            operator,
            source,
            f"has shape {list(source.shape)}, which does not become {shape}",
            "axes of size 1 repeated",
        )
    if output.shape != tuple(shape):
        raise unsupported(operator, output, f"has shape {list(output.shape)}", f"the shape asked for, {shape}")
    strides = [0 if size == 1 else stride for size, stride in zip(sizes, dense_strides(sizes), strict=True)]
    return strided_copy(operator, source, shape, strides)


def _lower_tile(operator: Operator) -> KernelCall:
    """Lower TILE: the tensor, so many times along each axis."""
    source = quantised_activation(operator)
    output = output_like(operator, source)
    multiples = constant_integers(operator, 1, "multiples")
    if len(multiples) != len(source.shape) or min(multiples, default=1) < 1:
        raise unsupported(
            operator, source, f"has shape {list(source.shape)} times {multiples}", "a multiple from 1 on for each axis"
        )
    expected = tuple(size * times for size, times in zip(source.shape, multiples, strict=True))
    if output.shape != expected:
        raise unsupported(operator, output, f"has shape {list(output.shape)}", f"the tiled input's, {list(expected)}")
    dims, strides = [], []
    for size, times, stride in zip(source.shape, multiples, dense_strides(source.shape), strict=True):
        dims += [times, size]
        strides += [0, stride]
    return strided_copy(operator, source, dims, strides)


def _broadcast(operator: Operator) -> np.ndarray | None:
    return np.broadcast_to(operator.input(0).values, operator.output.shape)


def _tiled(operator: Operator) -> np.ndarray | None:
    return np.tile(operator.input(0).values, tuple(int(times) for times in operator.input(1).values.reshape(-1)))


OPERATORS = (
    OperatorDescriptor(
        name="BROADCAST_TO",
        inputs=(2, 2),
        lower=_lower_broadcast,
        versions={"int8": 3, "int16": 3},
        tflm_types=INT8_AND_INT16,
        keeps_quantisation=True,
        fold=_broadcast,
        **in_torch(_lower_broadcast),
    ),
    OperatorDescriptor(
        name="TILE",
        inputs=(2, 2),
        lower=_lower_tile,
        versions={"int8": 3},
        keeps_quantisation=True,
        fold=_tiled,
        **in_torch(_lower_tile),
    ),
)
