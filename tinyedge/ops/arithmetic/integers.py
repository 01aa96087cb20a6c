"""The kernels' integer arithmetic on PyTorch tensors, with gradients.

Sums of products are integers, exact in float32 below 2^24 and in float64 above. Backwards, a rounding counts as the
identity and a limit stops the gradient (the straight-through estimator; Bengio et al. 2013, "Estimating or Propagating
Gradients Through Stochastic Neurons"). Values are codes, channels last, any batch.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from tinyedge.ops.arithmetic.floats import aligned, batched
from tinyedge.ops.descriptor import CodeFunction, FloatFunction, IntegerLayer
from tinyedge.ops.fields import integers
from tinyedge.ops.kernel_call import ConstantArray, KernelCall
from tinyedge.tflite.fixed_point import INT8_MAX, INT8_MIN
from tinyedge.tflite.graph import Operator, Tensor

LARGEST_DIFFERENCE = 255
"""Of an int8 code and a zero point."""

_EXACT_IN_FLOAT32 = 2**24
_EXACT_PRODUCTS = 2**22 - 1  # Times a multiplier of 31 bits and a half added: still exact in float64.


def requantise(value: torch.Tensor, multiplier: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """Apply requantisation multipliers with the two roundings of te_requantise.h.

    Args:
        value: Any shape, float64 or int64, integers that fit int32.
        multiplier: Int64, broadcast against it.
        shift: Int64, broadcast against it.

    Returns:
        Integers, float64.
    """
    least, most = torch.aminmax(value)
    if int(shift.max()) <= 0 and max(-float(least), float(most)) < _EXACT_PRODUCTS:
        product = (value.double() * (multiplier.double() / 2**31)).add_(0.5).floor_()
        product.mul_(torch.ldexp(torch.ones_like(shift, dtype=torch.float64), shift))
        return torch.copysign(product.abs().add_(0.5).floor_(), product)  # Halves away from zero.
    value = value.long()
    # A left shift wraps at 32 bits.
    shifted = ((value << shift.clamp(min=0)) + 2**31) % 2**32 - 2**31
    return rounding_shift(high_mul(shifted, multiplier), (-shift).clamp(min=0)).double()


def high_mul(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """round(a * b / 2^31), halves towards plus infinity."""
    return (a * b + (1 << 30)) >> 31


def rounding_shift(value: torch.Tensor, exponent: torch.Tensor) -> torch.Tensor:
    """round(value / 2^exponent), halves away from zero."""
    mask = (torch.ones_like(exponent) << exponent) - 1
    threshold = (mask >> 1) + (value < 0)
    return (value >> exponent) + ((value & mask) > threshold)


class _StraightThrough(torch.autograd.Function):
    """Integers forwards, limited; backwards, the gradient of the reals that they round, where no limit was met."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, exact: torch.Tensor, real: torch.Tensor, low: float, high: float
    ) -> torch.Tensor:
        limited = exact.clamp(low, high)
        ctx.save_for_backward(limited == exact)
        ctx.dtype = real.dtype
        return limited.float()

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[None, torch.Tensor, None, None]:
        (inside,) = ctx.saved_tensors
        return None, (gradients[0] * inside).to(ctx.dtype), None, None


def straight_through(
    exact: torch.Tensor, real: torch.Tensor, low: float = INT8_MIN, high: float = INT8_MAX
) -> torch.Tensor:
    """Return integers within a clamp range, with the gradient of the reals that they round."""
    out: torch.Tensor = _StraightThrough.apply(exact, real, low, high)  # type: ignore[no-untyped-call]
    return out


def finish(call: KernelCall, exact: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """Finish a layer: the kernel's integers and the reals that have the gradient, both less the zero point."""
    low = integer(call, "output_min") if "output_min" in call.fields else INT8_MIN
    high = integer(call, "output_max") if "output_max" in call.fields else INT8_MAX
    return straight_through(exact + integer(call, "output_zero_point"), real, low, high)


def exact_type(largest_sum: int) -> torch.dtype:
    """The narrowest float type in which sums up to this magnitude are exact."""
    return torch.float32 if largest_sum < _EXACT_IN_FLOAT32 else torch.float64


def scales(tensor: Tensor) -> torch.Tensor:
    """A tensor's scales, (C,) or (1,) float64."""
    return torch.from_numpy(tensor.q.scales.astype(np.float64))


def integer(call: KernelCall, field: str) -> int:
    """A member of a kernel's parameters that is one integer."""
    return integers(call.fields, field)[0]


def constants(call: KernelCall, field: str) -> torch.Tensor:
    """An integer or an array of a kernel's parameters as int64."""
    value = call.fields[field]
    return torch.tensor(value.values.astype(np.int64) if isinstance(value, ConstantArray) else integer(call, field))


def all_operands(operator: Operator, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
    """Return the codes of all inputs, constants among them, from those of the activations; sizes and axes stay."""
    given = iter(inputs)
    return [
        next(given)
        if tensor.data is None
        else torch.from_numpy(tensor.data if tensor.quantisation is None else np.asarray(tensor.data, np.float32))
        for tensor in operator.inputs
        if tensor is not None
    ]


def without_activation(operator: Operator) -> Operator:
    """The same operator before its fused activation, which the clamp range of its kernel is."""
    return dataclasses.replace(operator, options={**operator.options, "fused_activation_function": "NONE"})


def table_layer(operator: Operator, table: np.ndarray, function: FloatFunction) -> IntegerLayer:
    """Make an operator of its results (256,) int8 for all codes, with the gradient of its float function."""
    results = torch.from_numpy(table.astype(np.int64))
    source, output = operator.input(0).q, operator.output.q

    def run(inputs: list[torch.Tensor]) -> torch.Tensor:
        exact = results[inputs[0].detach().long() - INT8_MIN]
        real = function(operator, (inputs[0] - source.zero_point) * source.scale) / output.scale
        return straight_through(exact, real)

    return run


def pair_layer(
    operator: Operator,
    call: KernelCall,
    results: np.ndarray,
    real: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> IntegerLayer:
    """Make an operator of its results for all pairs of codes, (256, 256) integers before they are limited.

    Args:
        operator: Of two operands.
        call: Its kernel's.
        results: By the code of the first operand, then of the second, from -128 on.
        real: The output less its zero point, of both operands less theirs.
    """
    table = torch.from_numpy(results - integer(call, "output_zero_point")).float().flatten()
    first_zero, second_zero = (integer(call, f"input{which}_zero_point") for which in (1, 2))

    def run(inputs: list[torch.Tensor]) -> torch.Tensor:
        x, y = aligned(operator, *all_operands(operator, inputs))
        return batched(operator, finish(call, table[_pairs(x, y)], real(x - first_zero, y - second_zero)))

    return run


def pair_layer_of(codes: CodeFunction, function: FloatFunction) -> Callable[[Operator], IntegerLayer]:
    """The integer layer of an operator of two operands by its function of codes, with its float function's gradient."""

    def layer(operator: Operator) -> IntegerLayer:
        every = np.arange(INT8_MIN, INT8_MAX + 1)
        table = torch.from_numpy(codes(operator, [every[:, None], every[None, :]])).float().flatten()
        first, second, output = operator.input(0).q, operator.input(1).q, operator.output.q

        def run(inputs: list[torch.Tensor]) -> torch.Tensor:
            x, y = aligned(operator, *all_operands(operator, inputs))
            reals = (x - first.zero_point) * first.scale, (y - second.zero_point) * second.scale
            return straight_through(batched(operator, table[_pairs(x, y)]), function(operator, *reals) / output.scale)

        return run

    return layer


def _pairs(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The positions of pairs of codes in a flat table of all."""
    return (x.detach() * 256 + (y.detach() - 257 * INT8_MIN)).int()
