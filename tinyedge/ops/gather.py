"""MIRROR_PAD, RESIZE_NEAREST_NEIGHBOR and GATHER: rows and columns, each from where a list says.

GATHER is described in `lookup.py`, for it may be a table, too.
"""

import math
from collections.abc import Sequence

import numpy as np

from tinyedge.ops.descriptor import INT8, INT8_AND_INT16, OperatorDescriptor
from tinyedge.ops.kernel_call import ConstantArray, Kernel, KernelCall
from tinyedge.ops.moves import in_torch
from tinyedge.ops.overlap import run_lag
from tinyedge.ops.resizing import resized_image
from tinyedge.ops.rules import constant_integers, element, output_like, quantised_activation, tensor_input, unsupported
from tinyedge.tflite.graph import Operator, Tensor

_KERNELS = {element: Kernel(f"te_gather_{element}", "te_gather_params") for element in ("s8", "s16")}


def _call(
    operator: Operator, source: Tensor, in_size: tuple[int, int], rows: Sequence[int], columns: Sequence[int]
) -> KernelCall:
    """A call of the kernel.

    Args:
        operator: Whose output is written.
        source: Its activation: images, as many as there are.
        in_size: Rows of an image, and the values of a row.
        rows: Which row of its image each row of the output is.
        columns: At which value of its row each pixel of the output begins; it ends where the output says.
    """
    in_h, row = in_size
    images, size = source.elements // (in_h * row), source.dtype.itemsize
    first = np.arange(images)[:, None] * in_h * row + np.asarray(rows) * row + min(columns)
    return KernelCall(
        kernel=_KERNELS[element(source)],
        fields={
            "images": images,
            "image": in_h * row,
            "out_h": len(rows),
            "out_w": len(columns),
            "values": operator.output.elements * in_h * row // (source.elements * len(rows) * len(columns)),
            "rows": ConstantArray(np.asarray(rows, np.int32) * np.int32(row)),
            "columns": ConstantArray(np.asarray(columns, np.int32)),
        },
        inputs=(source,),
        output=operator.output,
        op=operator.op,
        name=operator.output.name,
        overlaps=run_lag(operator.output, first.reshape(-1) * size, operator.output.bytes // first.size),
    )


def lower_gather(operator: Operator) -> KernelCall:
    """Lower GATHER of constant indices along an axis."""
    source = quantised_activation(operator)
    output = output_like(operator, source)
    indices = constant_integers(operator, 1, "indices")
    rank, axis = len(source.shape), operator.options.get("axis", 0)
    batch_dims = operator.options.get("batch_dims", 0)
    if batch_dims or not -rank <= axis < rank:
        raise unsupported(
            operator,
            source,
            f"has rank {rank}, gathered along axis {axis} with {batch_dims} batch axes",
            "one of its axes, without batch axes",
        )
    axis %= rank
    size = source.shape[axis]
    if min(indices, default=-1) < 0 or max(indices) >= size:
        raise unsupported(operator, source, f"is gathered at {indices}", f"indices from 0 to {size - 1}")
    expected = (*source.shape[:axis], *tensor_input(operator, 1, "indices").shape, *source.shape[axis + 1 :])
    if output.shape != expected:
        raise unsupported(operator, output, f"has shape {list(output.shape)}", f"the gathered, {list(expected)}")
    values = math.prod(source.shape[axis + 1 :])
    return _call(operator, source, (1, size * values), [0], [index * values for index in indices])


def gathered(operator: Operator) -> np.ndarray | None:
    """The value of a GATHER of constants, along an axis; None of what has no kernel."""
    source, indices = operator.input(0).values, operator.input(1).values
    axis, batch_dims = operator.options.get("axis", 0), operator.options.get("batch_dims", 0)
    if batch_dims or not -source.ndim <= axis < source.ndim or np.any((indices < 0) | (indices >= source.shape[axis])):
        return None
    return np.take(source, indices, axis)


def _lower_mirror_pad(operator: Operator) -> KernelCall:
    """Lower MIRROR_PAD, which repeats the border itself (SYMMETRIC) or not (REFLECT)."""
    source = quantised_activation(operator)
    output = output_like(operator, source)
    amounts = constant_integers(operator, 1, "paddings")
    reflects = operator.options.get("mode", "REFLECT") == "REFLECT"
    limits = [size - 1 if reflects else size for size in source.shape]
    pairs = list(zip(amounts[::2], amounts[1::2], strict=False))
    if len(amounts) != 2 * len(limits) or any(
        not 0 <= amount <= limit for pair, limit in zip(pairs, limits, strict=True) for amount in pair
    ):
        raise unsupported(
            operator, source, f"has shape {list(source.shape)} mirrored by {amounts}", f"up to {limits} along the axes"
        )
    if output.shape != tuple(size + sum(pair) for size, pair in zip(source.shape, pairs, strict=True)):
        raise unsupported(operator, output, f"has shape {list(output.shape)}", "the input's shape with its paddings")
    indices = [_mirrored(size, pair, reflects) for size, pair in zip(source.shape, pairs, strict=True)]
    padded = [axis for axis, pair in enumerate(pairs) if any(pair)] or [0]
    # Rows are those of the first axis that is padded; pixels, what lies behind the last one.
    first, last = padded[0], padded[-1]
    inner = source.shape[first + 1 :]
    values = math.prod(source.shape[last + 1 :])
    columns = np.zeros(1, np.int64)
    for axis in range(first + 1, last + 1):
        columns = (columns[:, None] * source.shape[axis] + indices[axis]).reshape(-1)
    if first == last:  # Of one axis alone, the columns.
        size = source.shape[first] * values
        return _call(operator, source, (1, size), [0], [int(index) * values for index in indices[first]])
    return _call(
        operator, source, (source.shape[first], math.prod(inner)), list(indices[first]), list(columns * values)
    )


def _mirrored(size: int, padding: tuple[int, int], reflects: bool) -> np.ndarray:
    """Which input each output is, along an axis."""
    indices = np.arange(size)
    return np.pad(indices, padding, "reflect") if reflects else np.pad(indices, padding, "symmetric")


def _lower_nearest(operator: Operator) -> KernelCall:
    """Lower RESIZE_NEAREST_NEIGHBOR."""
    source = resized_image(operator)
    sizes = list(zip(source.shape[1:3], operator.output.shape[1:3], strict=True))
    rows, columns = (_nearest(operator, in_size, out_size) for in_size, out_size in sizes)
    _, in_h, in_w, channels = source.shape
    return _call(operator, source, (in_h, in_w * channels), rows, [column * channels for column in columns])


def _nearest(operator: Operator, in_size: int, out_size: int) -> list[int]:
    """Which input each output is, along an axis: in single precision, as the reference interpreter does."""
    corners, half = (operator.options.get(name, False) for name in ("align_corners", "half_pixel_centers"))
    scale = np.float32(in_size - 1) / np.float32(out_size - 1) if corners and out_size > 1 else None
    scale = np.float32(in_size) / np.float32(out_size) if scale is None else scale
    at = (np.arange(out_size, dtype=np.float32) + np.float32(0.5 if half else 0.0)) * scale
    # Half away from zero, of what is never negative.
    whole = np.floor(at.astype(np.float64) + 0.5) if corners else np.floor(at)
    return [int(index) for index in np.minimum(whole.astype(np.int64), in_size - 1)]


OPERATORS = (
    OperatorDescriptor(
        name="MIRROR_PAD",
        inputs=(2, 2),
        lower=_lower_mirror_pad,
        versions={"int8": 2},
        tflm_types=INT8,
        keeps_quantisation=True,
        **in_torch(_lower_mirror_pad),
    ),
    OperatorDescriptor(
        name="RESIZE_NEAREST_NEIGHBOR",
        inputs=(2, 2),
        lower=_lower_nearest,
        versions={"int8": 2, "int16": 4},
        tflm_types=INT8_AND_INT16,
        keeps_quantisation=True,
        **in_torch(_lower_nearest),
    ),
)
