"""A float TFLite graph as a PyTorch network: to see every tensor of it, to disturb it, and to train it.

Calibration reads the values of all tensors, sensitivity analysis and quantisation-aware training round them, and what
is trained goes back into the graph. Values are channels-last as in TFLite, so that a tensor here and a tensor of the
file are the same numbers in the same order; only the batch is not 1.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from tinyedge.errors import ModelError
from tinyedge.ops import OPERATORS, descriptor_of
from tinyedge.ops.descriptor import FloatFunction
from tinyedge.tflite.graph import Graph, Operator, Tensor

Hook = Callable[[Tensor, torch.Tensor], torch.Tensor]
"""Takes a tensor of the graph and its value, and returns the value to go on with."""


class FloatExecutor(nn.Module):
    """The operators of a graph with one input and one output, in order.

    Args:
        graph: Float; its first dimension is the batch. Float constants become parameters.

    Raises:
        ModelError: The graph has an operator that is unknown here, or several inputs or outputs.
    """

    def __init__(self, graph: Graph):
        super().__init__()
        if len(graph.inputs) != 1 or len(graph.outputs) != 1:
            raise ModelError(
                f"{graph.name} has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; quantisation takes "
                "one image in and one vector out"
            )
        self.graph = graph
        self._functions: list[FloatFunction] = []
        for operator in graph.operators:
            self._functions.append(_float_function(operator, graph.name))
        self.weights = nn.ParameterList()
        self._weight_index: dict[Tensor, int] = {}
        for operator in graph.operators:
            for tensor in operator.inputs:
                if tensor is None or tensor.data is None or tensor.dtype != np.float32 or tensor in self._weight_index:
                    continue
                self._weight_index[tensor] = len(self.weights)
                self.weights.append(nn.Parameter(torch.from_numpy(tensor.data.copy())))

    def weight(self, tensor: Tensor) -> nn.Parameter:
        """Return the parameter of a float constant."""
        parameter: nn.Parameter = self.weights[self._weight_index[tensor]]
        return parameter

    def forward(self, images: torch.Tensor, hook: Hook | None = None) -> torch.Tensor:
        """Run the graph.

        Args:
            images: (B, H, W, 3) float32, normalised.
            hook: Sees the input, every operator's output, and every float constant where it is used.

        Returns:
            The output, (B, K) float32.
        """
        values = {self.graph.inputs[0]: images if hook is None else hook(self.graph.inputs[0], images)}
        return self.resume(values, 0, hook)

    def resume(self, values: dict[Tensor, torch.Tensor], start: int, hook: Hook | None = None) -> torch.Tensor:
        """Run the operators from a position on.

        Args:
            values: Of the activations before that; the others are added.
            start: The position of the first operator to run.
            hook: As for `forward`.

        Returns:
            The output, (B, K) float32.
        """

        def seen(tensor: Tensor, value: torch.Tensor) -> torch.Tensor:
            return value if hook is None else hook(tensor, value)

        for operator, function in zip(self.graph.operators[start:], self._functions[start:], strict=True):
            inputs = [self._value(tensor, values, seen) for tensor in operator.inputs]
            values[operator.output] = seen(operator.output, function(operator, *inputs))
        return values[self.graph.outputs[0]]

    def _value(self, tensor: Tensor | None, values: dict[Tensor, torch.Tensor], seen: Hook) -> torch.Tensor | None:
        if tensor is None:
            return None
        if tensor.data is None:
            return values[tensor]
        if tensor in self._weight_index:
            return seen(tensor, self.weight(tensor))
        return torch.from_numpy(tensor.data)


def _float_function(operator: Operator, model: str) -> FloatFunction:
    function = descriptor_of(operator).float_function
    if function is None:
        known = ", ".join(name for name, descriptor in OPERATORS.items() if descriptor.float_function is not None)
        raise ModelError(f"operator {operator.index} ({operator.op}) of {model} cannot be quantised; known are {known}")
    return function
