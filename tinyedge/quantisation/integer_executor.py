"""An INT8 graph as a PyTorch network: its forward pass is the kernels' integers, bit for bit, and it has gradients.

Quantisation-aware training usually rounds in float arithmetic. That has the noise of the kernels, but not their values:
a bias that was not rounded, or a product rounded once and not twice, puts a value here and there a step off, the next
layer rounds the difference up, and sixty layers on it is another network. Here sums of products are integers, exact in
float32 below 2^24 and in float64 above, and go through the very multipliers, shifts and tables that the compiler gives
the kernels. What is trained is what runs.

Backwards, a rounding counts as the identity and a limit stops the gradient (the straight-through estimator; Bengio et
al. 2013, "Estimating or Propagating Gradients Through Stochastic Neurons"). Values are codes, channels last, any batch.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tinyedge.errors import ModelError
from tinyedge.ops import lower
from tinyedge.ops.kernel_call import ConstantArray, KernelCall
from tinyedge.quantisation.float_executor import OPERATORS, pad_same
from tinyedge.quantisation.quantise import CHANNEL_AXIS, HIGHEST_CODE, LOWEST_CODE
from tinyedge.tflite.graph import Graph, Operator, Quantisation, Tensor

_EXACT_IN_FLOAT32 = 2**24
_LARGEST_DIFFERENCE = 255  # Of an int8 code and a zero point.
_EXACT_PRODUCTS = 2**22 - 1  # Times a multiplier of 31 bits and a half added: still exact in float64.
_HEADROOM = 2**20  # By which the kernel of ADD keeps the bits below a step.
_SUM_INTEGER_BITS = 12  # Of the softmax kernel's sum of exponentials.

Layer = Callable[[list[torch.Tensor]], torch.Tensor]
"""Takes the codes of an operator's activations, in its own order, and returns those of its output."""


class IntegerExecutor(nn.Module):
    """The operators of an INT8 graph, in order.

    The parameters are the weights in codes and the biases in steps of their layer's output, both before they are
    rounded. Scales and zero points do not change.

    Args:
        graph: Int8, as `tinyedge.quantisation.quantise.quantise` makes it; it is not changed.

    Raises:
        ModelError: The graph has an operator that is unknown here.
    """

    def __init__(self, graph: Graph):
        super().__init__()
        self.graph = graph
        self.weights = nn.ParameterDict()
        self.biases = nn.ParameterDict()
        self._layers = [self._layer(position, operator) for position, operator in enumerate(graph.operators)]

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """Run the graph.

        Args:
            codes: (B, H, W, C) float32 integers in [-128, 127], in the quantisation of the graph's input.

        Returns:
            (B, K) float32 integers in [-128, 127], in that of its output.
        """
        values = {self.graph.inputs[0]: codes}
        for operator, layer in zip(self.graph.operators, self._layers, strict=True):
            inputs = [values[tensor] for tensor in operator.inputs if tensor is not None and tensor.data is None]
            values[operator.output] = layer(inputs)
        return values[self.graph.outputs[0]]

    def trained_graph(self) -> Graph:
        """Return the graph with the weights and biases as they are now."""
        operators = []
        for position, operator in enumerate(self.graph.operators):
            key = str(position)
            if key in self.weights:
                inputs = list(operator.inputs)
                inputs[1] = _with_data(inputs[1], _weight_codes(self.weights[key]))
                if key in self.biases:
                    inputs[2] = _with_data(inputs[2], (self.biases[key].detach() / _factors(operator)).round())
                operator = dataclasses.replace(operator, inputs=tuple(inputs))
            operators.append(operator)
        return dataclasses.replace(self.graph, operators=operators)

    def _layer(self, position: int, operator: Operator) -> Layer:
        if operator.op in CHANNEL_AXIS:
            return self._weighted(str(position), operator)
        if operator.op not in _LAYERS:
            raise ModelError(
                f"operator {operator.index} ({operator.op}) of {self.graph.name} cannot be trained in INT8; "
                f"known are {', '.join(sorted([*_LAYERS, *CHANNEL_AXIS]))}"
            )
        return _LAYERS[operator.op](operator)

    def _weighted(self, key: str, operator: Operator) -> Layer:
        """Make a convolution or a matrix product: its sums, its bias and its rescaling to the output."""
        call, factors = lower(operator), _factors(operator)
        weight, bias = operator.inputs[1], call.fields["bias"]
        assert weight is not None
        assert weight.data is not None
        self.weights[key] = nn.Parameter(torch.from_numpy(weight.data.astype(np.float32)))
        if isinstance(bias, ConstantArray):
            self.biases[key] = nn.Parameter(torch.from_numpy(bias.values.astype(np.float64)) * factors)
        depth = weight.data.size // len(factors)
        sums = torch.float32 if depth * HIGHEST_CODE * _LARGEST_DIFFERENCE < _EXACT_IN_FLOAT32 else torch.float64
        plain = _without_activation(operator)
        multipliers, shifts = _constants(call, "multipliers"), _constants(call, "shifts")

        def run(inputs: list[torch.Tensor]) -> torch.Tensor:
            codes = _weight_codes(self.weights[key])
            values = [(inputs[0] - _integer(call, "input_zero_point")).to(sums), codes.to(sums), None]
            products = OPERATORS[operator.op](plain, values)
            exact, real = products.detach().to(torch.float64, copy=True), products * factors.to(sums)
            if key in self.biases:
                exact.add_((self.biases[key].detach() / factors).round_())
                real = real + self.biases[key].to(sums)
            return _output(call, requantise(exact, multipliers, shifts), real)

        return run


def requantise(value: torch.Tensor, multiplier: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """Apply factors with the two roundings of te_requantise.h.

    Args:
        value: Any shape, float64 or int64, integers that fit int32.
        multiplier: Int64, broadcast against it.
        shift: Likewise.

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
    return _rounding_shift(_high_mul(shifted, multiplier), (-shift).clamp(min=0)).double()


def _high_mul(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a * b + (1 << 30)) >> 31


def _rounding_shift(value: torch.Tensor, exponent: torch.Tensor) -> torch.Tensor:
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


def _straight_through(exact: torch.Tensor, real: torch.Tensor, low: float, high: float) -> torch.Tensor:
    out: torch.Tensor = _StraightThrough.apply(exact, real, low, high)  # type: ignore[no-untyped-call]
    return out


def _weight_codes(weight: torch.Tensor) -> torch.Tensor:
    return _straight_through(weight.detach().round(), weight, -HIGHEST_CODE, HIGHEST_CODE)


def _output(call: KernelCall, exact: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """Finish a layer: the kernel's integers and the reals that have the gradient, both less the zero point."""
    low = _integer(call, "output_min") if "output_min" in call.fields else LOWEST_CODE
    high = _integer(call, "output_max") if "output_max" in call.fields else HIGHEST_CODE
    return _straight_through(exact + _integer(call, "output_zero_point"), real, low, high)


def _factors(operator: Operator) -> torch.Tensor:
    """Return what one unit of each channel's sum is worth in steps of the output: (C,) or (1,) float64."""
    source, weight, output = _scales(operator.inputs[0]), _scales(operator.inputs[1]), _scales(operator.output)
    return source * weight / output


def _sum_of_two(operator: Operator) -> Layer:
    """Make ADD or SUB: both operands on a scale twice the larger one's, with 20 bits below a step."""
    if operator.output.dtype == np.int32:
        return _index(operator)
    call, sign = lower(operator), 1 if operator.op == "ADD" else -1
    first, second = (
        requantise(differences * _HEADROOM, _constants(call, f"{name}_multiplier"), _constants(call, f"{name}_shift"))
        for name, differences in zip(("input1", "input2"), _all_differences(call), strict=True)
    )
    sums = requantise(first + sign * second, _constants(call, "output_multiplier"), _constants(call, "output_shift"))
    left, right = (float(_scales(tensor) / _scales(operator.output)) for tensor in operator.inputs[:2])
    return _of_two(operator, call, sums, lambda x, y: x * left + y * (sign * right))


def _index(operator: Operator) -> Layer:
    """Make the int32 steps of a lookup: CAST, and ADD or SUB of a constant."""
    constants = [tensor.data for tensor in operator.inputs if tensor is not None and tensor.data is not None]
    sign = -1 if operator.op == "SUB" else 1
    offset = sign * torch.from_numpy(constants[0].astype(np.float32)) if constants else torch.zeros(1)
    return lambda inputs: inputs[0] + offset


def _gather(operator: Operator) -> Layer:
    """Make the reading of a lookup's table, whose gradient is the slope between an entry's neighbours."""
    table = operator.inputs[0]
    assert table is not None
    assert table.data is not None
    values = torch.from_numpy(table.data.astype(np.float32))
    slopes = torch.from_numpy(np.gradient(table.data.astype(np.float32)))

    def run(inputs: list[torch.Tensor]) -> torch.Tensor:
        indices = inputs[0].detach().int()
        return _straight_through(values[indices], inputs[0] * slopes[indices], LOWEST_CODE, HIGHEST_CODE)

    return run


def _product_of_two(operator: Operator) -> Layer:
    call = lower(operator)
    first, second = _all_differences(call)
    products = requantise(first * second, _constants(call, "multiplier"), _constants(call, "shift"))
    scale = float(_scales(operator.inputs[0]) * _scales(operator.inputs[1]) / _scales(operator.output))
    return _of_two(operator, call, products, lambda x, y: x * y * scale)


def _all_differences(call: KernelCall) -> tuple[torch.Tensor, torch.Tensor]:
    """Return every code less the zero point of the first operand (256, 1) and of the second one (1, 256), float64."""
    codes = torch.arange(LOWEST_CODE, HIGHEST_CODE + 1, dtype=torch.float64)
    return (
        (codes - _integer(call, "input1_zero_point"))[:, None],
        (codes - _integer(call, "input2_zero_point"))[None, :],
    )


def _of_two(
    operator: Operator,
    call: KernelCall,
    results: torch.Tensor,
    real: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> Layer:
    """Make an operator of two operands from its results for all pairs of codes, (256, 256)."""
    table = results.float().flatten()
    first_zero, second_zero = (_integer(call, f"input{which}_zero_point") for which in (1, 2))

    def run(inputs: list[torch.Tensor]) -> torch.Tensor:
        x, y = _operands(operator, inputs)
        pairs = (x.detach() * 256 + (y.detach() - 257 * LOWEST_CODE)).int()
        return _output(call, table[pairs], real(x - first_zero, y - second_zero))

    return run


def _batch_matmul(operator: Operator) -> Layer:
    call = lower(operator)
    scale = _scales(operator.inputs[0]) * _scales(operator.inputs[1]) / _scales(operator.output)
    zero_points = [_integer(call, "lhs_zero_point"), _integer(call, "rhs_zero_point")]
    factor = _constants(call, "multiplier"), _constants(call, "shift")
    depth = _integer(call, "depth")
    sums = torch.float32 if depth * _LARGEST_DIFFERENCE**2 < _EXACT_IN_FLOAT32 else torch.float64

    def run(inputs: list[torch.Tensor]) -> torch.Tensor:
        operands = [
            (value - zero).to(sums) for value, zero in zip(_operands(operator, inputs), zero_points, strict=True)
        ]
        products = OPERATORS[operator.op](operator, [*operands])
        return _output(call, requantise(products.detach(), *factor), products * scale.to(sums))

    return run


def _mean(operator: Operator) -> Layer:
    call, axes = lower(operator), operator.inputs[1]
    assert axes is not None
    assert axes.data is not None
    dims = [int(axis) for axis in axes.data.reshape(-1)]
    zero_point, keep = _integer(call, "input_zero_point"), bool(operator.options["keep_dims"])
    scale = _scales(operator.inputs[0]) / _scales(operator.output)
    factor = _constants(call, "multiplier"), _constants(call, "shift")

    def run(inputs: list[torch.Tensor]) -> torch.Tensor:
        x = inputs[0] - zero_point
        exact = x.detach().double().sum(dim=dims, keepdim=keep)
        return _output(call, requantise(exact, *factor), x.mean(dim=dims, keepdim=keep) * scale)

    return run


def _softmax(operator: Operator) -> Layer:
    call = lower(operator)
    exponentials = torch.zeros(2 * _LARGEST_DIFFERENCE, dtype=torch.int64)
    known = _constants(call, "exps")
    exponentials[: len(known)] = known
    step = _scales(operator.inputs[0]) * float(operator.options["beta"])

    def run(inputs: list[torch.Tensor]) -> torch.Tensor:
        codes = inputs[0].detach().long()
        terms = exponentials[codes.amax(dim=-1, keepdim=True) - codes]
        total = _rounding_shift(terms, torch.tensor(_SUM_INTEGER_BITS)).sum(dim=-1, keepdim=True)
        bits = torch.frexp(total.double()).exponent.long()  # total = 2^bits * [1/2, 1)
        reciprocal = _reciprocal_of_one_plus((total << (32 - bits)) - 2**31)
        exponent = _SUM_INTEGER_BITS + bits - 32 + 31 - 8
        shares = _rounding_shift(_high_mul(reciprocal, terms), exponent.clamp(max=31))
        shares = torch.where(exponent <= 31, shares, 0)
        real = (inputs[0] * step).softmax(dim=-1) * 256
        return _straight_through(shares + LOWEST_CODE, real, LOWEST_CODE, HIGHEST_CODE)

    return run


def _reciprocal_of_one_plus(x: torch.Tensor) -> torch.Tensor:
    """Return 1 / (1 + x) for fractions of 2^31, by three Newton steps, as the softmax kernel does."""
    half = (x + 2**31) >> 1
    estimate = 1515870810 + _high_mul(half, torch.tensor(-1010580540))
    for _ in range(3):
        error = (1 << 29) - _high_mul(half, estimate)
        estimate = estimate + (_high_mul(estimate, error) << 2).clamp(-(2**31), 2**31 - 1)
    return (estimate << 1).clamp(-(2**31), 2**31 - 1)


def _average_pool(operator: Operator) -> Layer:
    call, options = lower(operator), operator.options
    kernel = (options["filter_height"], options["filter_width"])
    low, high = _integer(call, "output_min"), _integer(call, "output_max")

    def sums(x: torch.Tensor) -> torch.Tensor:
        x = pad_same(operator, x.permute(0, 3, 1, 2), kernel)
        stride = (options["stride_h"], options["stride_w"])
        return F.avg_pool2d(x, kernel, stride, divisor_override=1).permute(0, 2, 3, 1)

    def run(inputs: list[torch.Tensor]) -> torch.Tensor:
        total, count = sums(inputs[0]), sums(torch.ones_like(inputs[0]))  # Only the cells inside the image count.
        exact, cells = total.detach().long(), count.long()
        exact = torch.div(exact + torch.where(exact > 0, cells // 2, -(cells // 2)), cells, rounding_mode="trunc")
        return _straight_through(exact, total / count, low, high)

    return run


def _max_pool(operator: Operator) -> Layer:
    call, plain = lower(operator), _without_activation(operator)
    low, high = _integer(call, "output_min"), _integer(call, "output_max")
    return lambda inputs: OPERATORS[operator.op](plain, [inputs[0]]).clamp(low, high)


def _moved(operator: Operator) -> Layer:
    """Make an operator that moves codes; what PAD puts beside them is the zero point."""
    lower(operator)
    zero_point = _quantisation(operator.output).zero_point
    constants = [
        torch.from_numpy(tensor.data) for tensor in operator.inputs if tensor is not None and tensor.is_constant
    ]
    return lambda inputs: OPERATORS[operator.op](operator, [inputs[0] - zero_point, *constants]) + zero_point


def _table(operator: Operator) -> Layer:
    call = lower(operator)
    table = _constants(call, "table")
    source, output = _quantisation(operator.inputs[0]), _quantisation(operator.output)

    def run(inputs: list[torch.Tensor]) -> torch.Tensor:
        exact = table[inputs[0].detach().long() - LOWEST_CODE]
        real = OPERATORS[operator.op](operator, [(inputs[0] - source.zero_point) * source.scale]) / output.scale
        return _straight_through(exact, real, LOWEST_CODE, HIGHEST_CODE)

    return run


def _operands(operator: Operator, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
    """Return the codes of both operands, of which one may be constant."""
    given = iter(inputs)
    return [
        torch.from_numpy(tensor.data.astype(np.float32)) if tensor.data is not None else next(given)
        for tensor in operator.inputs
        if tensor is not None
    ]


def _without_activation(operator: Operator) -> Operator:
    return dataclasses.replace(operator, options={**operator.options, "fused_activation_function": "NONE"})


def _quantisation(tensor: Tensor | None) -> Quantisation:
    assert tensor is not None
    assert tensor.quantisation is not None
    return tensor.quantisation


def _scales(tensor: Tensor | None) -> torch.Tensor:
    return torch.from_numpy(_quantisation(tensor).scales.astype(np.float64))


def _integer(call: KernelCall, field: str) -> int:
    value = call.fields[field]
    assert isinstance(value, int)
    return value


def _constants(call: KernelCall, field: str) -> torch.Tensor:
    """Return an integer or an array of a kernel's parameters as int64."""
    value = call.fields[field]
    assert isinstance(value, int | ConstantArray)
    return torch.tensor(value if isinstance(value, int) else value.values.astype(np.int64))


def _with_data(tensor: Tensor | None, values: torch.Tensor) -> Tensor:
    assert tensor is not None
    return dataclasses.replace(tensor, data=values.detach().numpy().astype(tensor.dtype))


_LAYERS: dict[str, Callable[[Operator], Layer]] = {
    "ADD": _sum_of_two,
    "AVERAGE_POOL_2D": _average_pool,
    "BATCH_MATMUL": _batch_matmul,
    "CAST": _index,
    "GATHER": _gather,
    "HARD_SWISH": _table,
    "LOGISTIC": _table,
    "MAX_POOL_2D": _max_pool,
    "MEAN": _mean,
    "MUL": _product_of_two,
    "PAD": _moved,
    "RELU": _table,
    "RELU6": _table,
    "RESHAPE": _moved,
    "SOFTMAX": _softmax,
    "SUB": _sum_of_two,
    "TANH": _table,
    "TRANSPOSE": _moved,
}
