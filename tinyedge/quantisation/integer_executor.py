"""An INT8 graph as a PyTorch network: its forward pass is the kernels' integers, bit for bit, and it has gradients.

Quantisation-aware training usually rounds in float arithmetic. That has the noise of the kernels, but not their values:
a bias that was not rounded, or a product rounded once and not twice, puts a value here and there a step off, the next
layer rounds the difference up, and sixty layers on it is another network. Here sums of products are integers and go
through the very multipliers, shifts and tables that the compiler gives the kernels (`ops.arithmetic.integers`).
What is trained is what runs.
"""

import dataclasses

import numpy as np
import torch
from torch import nn

from tinyedge.errors import ModelError
from tinyedge.ops import OPERATORS, descriptor_of, lower
from tinyedge.ops.arithmetic.integers import (
    LARGEST_DIFFERENCE,
    constants,
    exact_type,
    finish,
    integer,
    requantise,
    scales,
    straight_through,
    without_activation,
)
from tinyedge.ops.descriptor import FloatFunction, IntegerLayer, WeightsLayout
from tinyedge.ops.kernel_call import ConstantArray
from tinyedge.tflite.fixed_point import INT8_MAX
from tinyedge.tflite.graph import Graph, Operator, Tensor


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
        """Run a graph of one input and one output.

        Args:
            codes: (B, ...) float32 integers in [-128, 127], in the quantisation of the graph's input.

        Returns:
            (B, ...) float32 integers in [-128, 127], in that of its output.
        """
        (output,) = self.run((codes,))
        return output

    def run(self, codes: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        """Run the graph.

        Args:
            codes: Of each input, (B, ...) float32 integers in its quantisation; one sample has the input's own shape.

        Returns:
            The same of each output.
        """
        values = dict(zip(self.graph.inputs, codes, strict=True))
        for operator, layer in zip(self.graph.operators, self._layers, strict=True):
            inputs = [values[tensor] for tensor in operator.inputs if tensor is not None and tensor.data is None]
            values[operator.output] = layer(inputs)
        return tuple(values[tensor] for tensor in self.graph.outputs)

    def trained_graph(self) -> Graph:
        """Return the graph with the weights and biases as they are now."""
        operators = []
        for position, operator in enumerate(self.graph.operators):
            key = str(position)
            if key in self.weights:
                inputs = list(operator.inputs)
                inputs[1] = _with_data(operator.input(1), _weight_codes(self.weights[key]))
                if key in self.biases:
                    bias = _layout(operator).bias
                    inputs[bias] = _with_data(
                        operator.input(bias), (self.biases[key].detach() / _real_multipliers(operator)).round()
                    )
                operator = dataclasses.replace(operator, inputs=tuple(inputs))
            operators.append(operator)
        return dataclasses.replace(self.graph, operators=operators)

    def _layer(self, position: int, operator: Operator) -> IntegerLayer:
        descriptor = descriptor_of(operator)
        if descriptor.weights is not None and descriptor.float_function is not None:
            return self._weighted(str(position), operator, descriptor.float_function)
        if descriptor.integer_layer is None:
            known = (
                name for name, other in OPERATORS.items() if other.integer_layer or (other.weights and other.lower)
            )
            raise ModelError(
                f"operator {operator.index} ({operator.op}) of {self.graph.name} cannot be trained in INT8; "
                f"known are {', '.join(known)}"
            )
        return descriptor.integer_layer(operator)

    def _weighted(self, key: str, operator: Operator, function: FloatFunction) -> IntegerLayer:
        """Make a convolution or a matrix product: its sums, its bias and its rescaling to the output."""
        call, real_multipliers = lower(operator), _real_multipliers(operator)
        weight, bias = operator.input(1).values, call.fields["bias"]
        self.weights[key] = nn.Parameter(torch.from_numpy(weight.astype(np.float32)))
        if isinstance(bias, ConstantArray):
            self.biases[key] = nn.Parameter(torch.from_numpy(bias.values.astype(np.float64)) * real_multipliers)
        exact_sums = exact_type(weight.size // len(real_multipliers) * INT8_MAX * LARGEST_DIFFERENCE)
        source, plain, zero_point = (
            _layout(operator).source,
            without_activation(operator),
            integer(call, "input_zero_point"),
        )
        multipliers, shifts = constants(call, "multipliers"), constants(call, "shifts")

        def run(inputs: list[torch.Tensor]) -> torch.Tensor:
            codes = _weight_codes(self.weights[key])
            operands: list[torch.Tensor | None] = [None] * (source + 1)
            operands[source], operands[1:2] = (inputs[0] - zero_point).to(exact_sums), [codes.to(exact_sums)]
            products = function(plain, *operands)
            exact, real = products.detach().to(torch.float64, copy=True), products * real_multipliers.to(exact_sums)
            if key in self.biases:
                exact.add_((self.biases[key].detach() / real_multipliers).round_())
                real = real + self.biases[key].to(exact_sums)
            return finish(call, requantise(exact, multipliers, shifts), real)

        return run


def _weight_codes(weight: torch.Tensor) -> torch.Tensor:
    return straight_through(weight.detach().round(), weight, -INT8_MAX, INT8_MAX)


def _real_multipliers(operator: Operator) -> torch.Tensor:
    """Return what one unit of each channel's accumulator is worth in steps of the output: (C,) or (1,) float64."""
    source = operator.input(_layout(operator).source)
    return scales(source) * scales(operator.input(1)) / scales(operator.output)


def _layout(operator: Operator) -> WeightsLayout:
    layout = descriptor_of(operator).weights
    if layout is None:
        raise ModelError(f"operator {operator.index} ({operator.op}) has no weights to train")
    return layout


def _with_data(tensor: Tensor, values: torch.Tensor) -> Tensor:
    return dataclasses.replace(tensor, data=values.detach().numpy().astype(tensor.dtype))
