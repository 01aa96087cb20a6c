"""BATCH_MATMUL."""

import numpy as np

from tinyedge.ops.elementwise import dense_strides
from tinyedge.ops.kernel_call import Fields, KernelCall
from tinyedge.ops.operands import two_operands
from tinyedge.ops.registry import lowers
from tinyedge.ops.rules import (
    MAX_DEPTH_TWO_OFFSETS,
    MAX_WIDE_SUM,
    element,
    factor,
    output_like,
    scale,
    unsupported,
    wide_factor,
    zero_point,
)
from tinyedge.tflite.graph import Operator

_MAX_RANK = 5
_MAX_DEPTHS = {np.dtype(np.int8): MAX_DEPTH_TWO_OFFSETS, np.dtype(np.int16): MAX_WIDE_SUM // 2**30 - 1}


@lowers("BATCH_MATMUL")
def lower_batch_matmul(operator: Operator) -> KernelCall:
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
            "factors that match each other and the output",
        )
    if depth > _MAX_DEPTHS[lhs.dtype]:
        raise unsupported(operator, lhs, f"sums {depth} products", f"sums of at most {_MAX_DEPTHS[lhs.dtype]}")
    is_int8 = lhs.dtype == np.int8
    multiplier, shift = (factor if is_int8 else wide_factor)(operator, scale(lhs) * scale(rhs) / scale(output))
    zero_points: Fields = {
        "lhs_zero_point": zero_point(lhs),
        "rhs_zero_point": zero_point(rhs),
        "output_zero_point": zero_point(output),
    }
    return KernelCall(
        function=f"te_batch_matmul_{element(lhs)}",
        struct="te_batch_matmul_params" if is_int8 else "te_batch_matmul_s16_params",
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
        macs=output.elements * depth,
    )
