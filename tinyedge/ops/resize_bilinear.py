"""RESIZE_BILINEAR."""

from typing import TYPE_CHECKING

import numpy as np

from tinyedge.ops.descriptor import INT8, IntegerLayer, OperatorDescriptor
from tinyedge.ops.kernel_call import ConstantArray, Kernel, KernelCall
from tinyedge.ops.overlap import run_lag
from tinyedge.ops.resizing import resized_image
from tinyedge.ops.rules import int8_activation, unsupported
from tinyedge.tflite.graph import Operator

if TYPE_CHECKING:
    import torch

_KERNEL = Kernel("te_resize_bilinear_s8", "te_resize_bilinear_params")
# Positions have so many bits behind the point.
_BITS = 10
_ONE = 1 << _BITS


def _lower(operator: Operator) -> KernelCall:
    """Lower RESIZE_BILINEAR, whose positions the reference interpreter computes in integers."""
    int8_activation(operator)
    source = resized_image(operator)
    batches, in_h, in_w, channels = source.shape
    _, out_h, out_w, _ = operator.output.shape
    rows, row_shares = _positions(operator, in_h, out_h)
    columns, column_shares = _positions(operator, in_w, out_w)
    first = np.arange(batches)[:, None] * source.elements // batches + rows.min(axis=1) * in_w * channels
    return KernelCall(
        kernel=_KERNEL,
        fields={
            "images": batches,
            "image": in_h * in_w * channels,
            "out_h": out_h,
            "out_w": out_w,
            "channels": channels,
            "rows": ConstantArray(rows * np.int32(in_w * channels)),
            "row_shares": ConstantArray(row_shares),
            "columns": ConstantArray(columns * np.int32(channels)),
            "column_shares": ConstantArray(column_shares),
        },
        inputs=(source,),
        output=operator.output,
        op=operator.op,
        name=operator.output.name,
        overlaps=run_lag(operator.output, first.reshape(-1), out_w * channels),
    )


def _positions(operator: Operator, in_size: int, out_size: int) -> tuple[np.ndarray, np.ndarray]:
    """The two inputs on either side of each output, (out_size, 2) int32, and the share of the second, of 1024."""
    corners, half = (operator.options.get(name, False) for name in ("align_corners", "half_pixel_centers"))
    steps = (in_size - 1, out_size - 1) if corners and out_size > 1 else (in_size, out_size)
    scale = (_ONE * steps[0] + steps[1] // 2) // steps[1]
    at = np.arange(out_size) * scale + (scale // 2 - _ONE // 2 if half else 0)
    # Positions before the first input lie on it, for both sides are the same there.
    at = np.maximum(at, 0)
    lower = at >> _BITS
    if np.any(lower >= in_size):
        raise unsupported(
            operator,
            operator.output,
            f"is {out_size} long from {in_size}, of which the reference reads more than there are",
            "smaller factors",
        )
    upper = np.minimum(-(-at >> _BITS), in_size - 1)
    shares = np.where(upper > lower, at - (lower << _BITS), 0)
    return np.stack([lower, upper], axis=1).astype(np.int32), shares.astype(np.int32)


def _float(operator: Operator, x: "torch.Tensor", _: "torch.Tensor") -> "torch.Tensor":
    import torch

    for axis in (1, 2):
        positions = torch.from_numpy(_real_positions(operator, x.shape[axis], operator.output.shape[axis]))
        lower = positions.floor().clamp(min=0)
        upper = positions.ceil().clamp(max=x.shape[axis] - 1)
        share = (positions - lower).reshape(*[1] * axis, -1, *[1] * (3 - axis))
        first, second = (x.index_select(axis, side.int()) for side in (lower, upper))
        x = first + (second - first) * share
    return x


def _real_positions(operator: Operator, in_size: int, out_size: int) -> np.ndarray:
    """Where each output lies among the inputs, (out_size,) float32."""
    corners, half = (operator.options.get(name, False) for name in ("align_corners", "half_pixel_centers"))
    steps = (in_size - 1, out_size - 1) if corners and out_size > 1 else (in_size, out_size)
    centre = np.float32(0.5 if half else 0.0)
    return (np.arange(out_size, dtype=np.float32) + centre) * (np.float32(steps[0]) / np.float32(steps[1])) - centre


def _integer_layer(operator: Operator) -> IntegerLayer:
    """The kernel's shares of 1024 of four values, rounded half away from zero."""
    import torch

    from tinyedge.ops.arithmetic.integers import straight_through

    sizes = zip(operator.input(0).shape[1:3], operator.output.shape[1:3], strict=True)
    axes = [tuple(torch.from_numpy(part) for part in _positions(operator, *size)) for size in sizes]

    def run(inputs: "list[torch.Tensor]") -> "torch.Tensor":
        sums = inputs[0].double()
        for axis, (sides, shares) in enumerate(axes, 1):
            share = shares.reshape(*[1] * axis, -1, *[1] * (3 - axis))
            first, second = (sums.index_select(axis, side) for side in sides.T)
            sums = first * (_ONE - share) + second * share
        exact = sums.detach()
        exact = torch.copysign((exact.abs() / _ONE**2 + 0.5).floor(), exact)
        return straight_through(exact, sums / _ONE**2)

    return run


OPERATORS = (
    OperatorDescriptor(
        name="RESIZE_BILINEAR",
        inputs=(2, 2),
        lower=_lower,
        versions={"int8": 3},
        tflm_types=INT8,
        keeps_quantisation=True,
        float_function=_float,
        integer_layer=_integer_layer,
    ),
)
