"""Functions of one value that become a lookup in INT8: TFLite Micro has no int8 kernel of them, or a coarser one.

FUNCTION is no operator of TFLite: `tinyedge.quantisation.functions` makes it of a chain of float operators. Its 256
results are evaluated in double precision and rounded once, whatever the chain, so that a SiLU of four operators and a
hard sigmoid of three lose no more than one rounding.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from tinyedge.errors import ModelError
from tinyedge.ops.descriptor import FloatFunction, OperatorDescriptor
from tinyedge.ops.gelu import table_lookup
from tinyedge.tflite.fixed_point import INT8_MAX, INT8_MIN
from tinyedge.tflite.graph import Operator, Quantisation, Tensor

if TYPE_CHECKING:
    import torch


def looked_up(function: FloatFunction) -> Callable[[Operator, Mapping[Tensor, Tensor]], list[Operator]]:
    """What a float operator of one value becomes in INT8: the operators of TFLite Micro that look its results up."""

    def expand(operator: Operator, tensors: Mapping[Tensor, Tensor]) -> list[Operator]:
        source, output = tensors[operator.input(0)], tensors[operator.output]
        if output.dtype != np.int8:
            raise ModelError(f"operator {operator.index} ({operator.op}) has no 16x8 form: leave it in INT8")
        codes = rounded_codes(operator, function, source.q, output.q)
        return table_lookup(dataclasses.replace(operator, inputs=(source,), outputs=(output,)), codes)

    return expand


def rounded_codes(
    operator: Operator, function: FloatFunction, source: Quantisation, output: Quantisation
) -> np.ndarray:
    """Return the codes of a function for the codes -128 ... 127, (256,) int8; what is undefined has that of 0."""
    import torch

    codes = torch.arange(INT8_MIN, INT8_MAX + 1, dtype=torch.float64)
    constants = [torch.from_numpy(tensor.values).double() for tensor in operator.inputs[1:] if tensor is not None]
    reals = function(operator, (codes - source.zero_point) * source.scale, *constants) / output.scale
    steps = np.nan_to_num(reals.numpy(), nan=0.0)
    rounded = np.trunc(steps.clip(-1e6, 1e6) + np.copysign(0.5, steps)) + output.zero_point
    results: np.ndarray = rounded.clip(INT8_MIN, INT8_MAX).astype(np.int8)
    return results


def _chain(operator: Operator, x: "torch.Tensor") -> "torch.Tensor":
    """The operators of a FUNCTION, of tensors of one value each, on all values at once."""
    import torch

    from tinyedge.ops.registry import descriptor_of

    chain: tuple[Operator, ...] = operator.options["chain"]
    (source,) = {tensor for tensor in chain[0].inputs if tensor is not None and not tensor.is_constant}
    values = {source: x.reshape(-1, 1)}
    for link in chain:
        operands = [
            values[tensor] if tensor.data is None else torch.from_numpy(tensor.data).to(x.dtype)
            for tensor in link.inputs
            if tensor is not None
        ]
        function = descriptor_of(link).float_function
        if function is None:
            raise ModelError(f"operator {link.index} ({link.op}) cannot be quantised")
        values[link.output] = function(link, *operands)
    return values[chain[-1].output].reshape(x.shape)


def _of_value(function: "Callable[[torch.Tensor], torch.Tensor]") -> FloatFunction:
    return lambda operator, x: function(x)


def _power(operator: Operator, x: "torch.Tensor", exponent: "torch.Tensor") -> "torch.Tensor":
    return x**exponent


_FUNCTIONS: dict[str, FloatFunction] = {
    "CEIL": _of_value(lambda x: x.ceil()),
    "COS": _of_value(lambda x: x.cos()),
    "FLOOR": _of_value(lambda x: x.floor()),
    "FUNCTION": _chain,
    "NEG": _of_value(lambda x: -x),
    "POW": _power,
    "ROUND": _of_value(lambda x: x.round()),
    "SIGN": _of_value(lambda x: x.sign()),
    "SIN": _of_value(lambda x: x.sin()),
    "SQUARE": _of_value(lambda x: x.square()),
}

OPERATORS = tuple(
    OperatorDescriptor(
        name=name,
        inputs=(2, 2) if function is _power else (1, 1),
        expand=looked_up(function),
        is_function=True,
        float_function=function,
    )
    for name, function in _FUNCTIONS.items()
)
