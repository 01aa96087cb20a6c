"""BATCH_MATMUL."""

from typing import TYPE_CHECKING

import numpy as np

from tinyedge.ops.broadcasting import dense_strides
from tinyedge.ops.descriptor import INT8_AND_INT16, IntegerLayer, OperatorDescriptor
from tinyedge.ops.kernel_call import Fields, Kernel, KernelCall
from tinyedge.ops.operands import two_operands
from tinyedge.ops.rules import (
    MAX_DEPTH_TWO_OFFSETS,
    MAX_INT16X8_SUM,
    element,
    int16x8_multiplier,
    output_like,
    requantisation_multiplier,
    scale,
    unsupported,
    zero_point,
)
from tinyedge.tflite.fixed_point import INT8_MAX, INT8_MIN
from tinyedge.tflite.graph import Operator

if TYPE_CHECKING:
    import torch

_MAX_RANK = 5
_MAX_DEPTHS = {np.dtype(np.int8): MAX_DEPTH_TWO_OFFSETS, np.dtype(np.int16): MAX_INT16X8_SUM // 2**30 - 1}

KERNELS = {
    "s8": Kernel("te_batch_matmul_s8", "te_batch_matmul_params"),
    "s16": Kernel("te_batch_matmul_s16", "te_batch_matmul_s16_params"),
}
"""By the type of its operands."""


def _lower(operator: Operator) -> KernelCall:
    """Lower BATCH_MATMUL; transposition and broadcasting become strides, so that nothing is moved."""
    operands = two_operands(operator)
    lhs, rhs = operands.tensors
    output = output_like(operator, lhs)
    if not all(2 <= len(tensor.shape) <= _MAX_RANK for tensor in (lhs, rhs)):
        raise unsupported(
            operator, lhs, f"has shape {list(lhs.shape)} times {list(rhs.shape)}", f"matrices of rank 2 to {_MAX_RANK}"
        )
    lhs_shape, rhs_shape = ((1,) * (_MAX_RANK - len(tensor.shape)) + tensor.shape for tensor in (lhs, rhs))
    lhs_strides, rhs_strides = dense_strides(lhs_shape), dense_strides(rhs_shape)
    lhs_row, lhs_depth = (4, 3) if operator.options.get("adj_x", False) else (3, 4)
    rhs_depth, rhs_col = (4, 3) if operator.options.get("adj_y", False) else (3, 4)
    rows, depth, cols = lhs_shape[lhs_row], lhs_shape[lhs_depth], rhs_shape[rhs_col]
    batches = tuple(max(a, b) for a, b in zip(lhs_shape[:3], rhs_shape[:3], strict=True))
    fits = all(size in (1, batches[axis]) for shape in (lhs_shape, rhs_shape) for axis, size in enumerate(shape[:3]))
    if not fits or rhs_shape[rhs_depth] != depth or output.elements != int(np.prod(batches)) * rows * cols:
        raise unsupported(
            operator,
            output,
            f"has shape {list(output.shape)} for {list(lhs.shape)} times {list(rhs.shape)}",
            "operands that match each other and the output",
        )
    if depth > _MAX_DEPTHS[lhs.dtype]:
        raise unsupported(operator, lhs, f"sums {depth} products", f"sums of at most {_MAX_DEPTHS[lhs.dtype]}")
    is_int8 = lhs.dtype == np.int8
    multiplier, shift = (requantisation_multiplier if is_int8 else int16x8_multiplier)(
        operator, scale(lhs) * scale(rhs) / scale(output)
    )
    zero_points: Fields = {
        "lhs_zero_point": zero_point(lhs),
        "rhs_zero_point": zero_point(rhs),
        "output_zero_point": zero_point(output),
    }
    return KernelCall(
        kernel=KERNELS[element(lhs)],
        fields={
            "batch_dims": batches,
            "lhs_batch_strides": tuple(0 if lhs_shape[axis] == 1 else lhs_strides[axis] for axis in range(3)),
            "rhs_batch_strides": tuple(0 if rhs_shape[axis] == 1 else rhs_strides[axis] for axis in range(3)),
            "rows": rows,
            "depth": depth,
            "cols": cols,
            "lhs_row_stride": lhs_strides[lhs_row],
            "lhs_depth_stride": lhs_strides[lhs_depth],
            "rhs_depth_stride": rhs_strides[rhs_depth],
            "rhs_col_stride": rhs_strides[rhs_col],
            **(zero_points if is_int8 else {}),
            "multiplier": multiplier,
            "shift": shift,
            "lhs_constant": operands.constants[0],
            "rhs_constant": operands.constants[1],
        },
        inputs=operands.activations,
        output=output,
        op=operator.op,
        name=output.name,
    )


def _macs(operator: Operator) -> int:
    shape = operator.input(0).shape
    return operator.output.elements * shape[-2 if operator.options.get("adj_x", False) else -1]


def _float(operator: Operator, x: "torch.Tensor", y: "torch.Tensor") -> "torch.Tensor":
    from tinyedge.ops.arithmetic.floats import aligned, batched

    x, y = aligned(operator, x, y)
    x = x.transpose(-1, -2) if operator.options.get("adj_x", False) else x
    return batched(operator, x @ (y.transpose(-1, -2) if operator.options.get("adj_y", False) else y))


def _integer_layer(operator: Operator) -> IntegerLayer:
    from tinyedge.ops.arithmetic import integers

    call = _lower(operator)
    scale = integers.scales(operator.input(0)) * integers.scales(operator.input(1)) / integers.scales(operator.output)
    zero_points = [integers.integer(call, "lhs_zero_point"), integers.integer(call, "rhs_zero_point")]
    multiplier, shift = integers.constants(call, "multiplier"), integers.constants(call, "shift")
    exact = integers.exact_type(integers.integer(call, "depth") * (INT8_MAX - INT8_MIN) ** 2)

    def run(inputs: "list[torch.Tensor]") -> "torch.Tensor":
        operands = integers.all_operands(operator, inputs)
        x, y = ((value - zero).to(exact) for value, zero in zip(operands, zero_points, strict=True))
        products = _float(operator, x, y)
        results = integers.requantise(products.detach(), multiplier, shift)
        return integers.finish(call, results, products * scale.to(exact))

    return run


OPERATORS = (
    OperatorDescriptor(
        name="BATCH_MATMUL",
        inputs=(2, 2),
        lower=_lower,
        macs=_macs,
        versions={"int8": 2, "int16": 3},
        tflm_types=INT8_AND_INT16,
        float_function=_float,
        integer_layer=_integer_layer,
    ),
)
