"""A float TFLite graph as a PyTorch network: to see every tensor of it, to disturb it, and to train it.

Calibration reads the values of all tensors, sensitivity analysis and quantisation-aware training round them, and what
is trained goes back into the graph. Values are channels-last as in TFLite, so that a tensor here and a tensor of the
file are the same numbers in the same order; only the batch is not 1, where the graph allows one.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property

import numpy as np
import torch
from torch import nn

from tinyedge.errors import ModelError
from tinyedge.ops import OPERATORS, descriptor_of
from tinyedge.ops.descriptor import FloatFunction
from tinyedge.tflite.frames import frame_shape
from tinyedge.tflite.graph import Graph, Operator, Tensor

Hook = Callable[[Tensor, torch.Tensor], torch.Tensor]
"""Takes a tensor of the graph and its value, and returns the value to go on with."""

Values = tuple[torch.Tensor, ...]
"""Of samples: (n, ...) of each input of a graph, or of each output, a sample in its shape without a leading 1."""

_BATCH = 64

_known_to_batch: dict[str, bool] = {}
_MOST_KNOWN = 64  # Of a digest and a truth each: as many as the candidates of a few networks.


class FloatExecutor(nn.Module):
    """The operators of a graph, in order.

    Samples run in batches where that gives what one by one gives. It does not where the graph's own shapes leave no
    room for a batch, as where an input's first dimension is none: those run one by one.

    Args:
        graph: Float, without states. Float constants become parameters.

    Raises:
        ModelError: The graph has an operator that is unknown here, or states, or an input that is not float32.
    """

    def __init__(self, graph: Graph):
        super().__init__()
        self.graph = graph
        for tensor in graph.inputs:
            if tensor.dtype != np.float32:
                raise ModelError(
                    f"input '{tensor.name}' of {graph.name} is {tensor.dtype}, and what is quantised takes float32: "
                    "export the network from its first float tensor on"
                )
        if graph.states:
            raise ModelError(
                f"{graph.name} keeps the state '{graph.states[0].name}' between inferences: make it an input and an "
                "output of the float model"
            )
        self._functions: list[FloatFunction] = []
        for operator in graph.operators:
            self._functions.append(_float_function(operator, graph.name))
        self.weights = nn.ParameterList()
        self._weight_index: dict[Tensor, int] = {}
        for operator in graph.operators:
            for read in operator.inputs:
                if read is None or read.data is None or read.dtype != np.float32 or read in self._weight_index:
                    continue
                self._weight_index[read] = len(self.weights)
                self.weights.append(nn.Parameter(torch.from_numpy(read.data.copy())))

    @cached_property
    def batch_size(self) -> int:
        """How many samples run at once at most: 1 where two at once give another result than one by one."""
        # Of a network there are many graphs that differ in the biases of layers alone, which decide nothing.
        structure = _structure(self.graph)
        batches = _known_to_batch.get(structure)
        if batches is None:
            batches = self._takes_batches()
            if len(_known_to_batch) >= _MOST_KNOWN:
                _known_to_batch.clear()
            _known_to_batch[structure] = batches
        return _BATCH if batches else 1

    def weight(self, tensor: Tensor) -> nn.Parameter:
        """Return the parameter of a float constant."""
        parameter: nn.Parameter = self.weights[self._weight_index[tensor]]
        return parameter

    def batches(self, samples: Values) -> Iterator[Values]:
        """Yield samples in batches that `run` takes."""
        yield from zip(*(values.split(self.batch_size) for values in samples), strict=True)

    @torch.no_grad()
    def outputs(self, samples: Values, hook: Hook | None = None) -> Values:
        """Return what the graph makes of samples, however many."""
        parts = [self.run(batch, hook) for batch in self.batches(samples)]
        return tuple(torch.cat(values) for values in zip(*parts, strict=True))

    def forward(self, images: torch.Tensor, hook: Hook | None = None) -> torch.Tensor:
        """Run a graph of one input and one output on a batch.

        Args:
            images: (B, ...) float32.
            hook: As for `run`.

        Returns:
            The output, (B, ...) float32.
        """
        (output,) = self.run((images,), hook)
        return output

    def run(self, batch: Values, hook: Hook | None = None) -> Values:
        """Run the graph on a batch.

        Args:
            batch: Of each input, (B, ...) float32, with B at most `batch_size`.
            hook: Sees the inputs, every operator's output, and every float constant where it is used.

        Returns:
            The outputs.
        """
        values = self.named(batch)
        if hook is not None:
            values = {tensor: hook(tensor, value) for tensor, value in values.items()}
        return self.resume(values, 0, hook)

    def named(self, batch: Values) -> dict[Tensor, torch.Tensor]:
        """Return the inputs of a batch by their tensors, as the operators take them."""
        alone = len(batch[0]) == 1
        return {
            tensor: values.reshape(tensor.shape) if alone else values
            for tensor, values in zip(self.graph.inputs, batch, strict=True)
        }

    def resume(self, values: dict[Tensor, torch.Tensor], start: int, hook: Hook | None = None) -> Values:
        """Run the operators from a position on.

        Args:
            values: Of the activations before that; the others are added.
            start: The position of the first operator to run.
            hook: As for `run`.

        Returns:
            The outputs.
        """

        def seen(tensor: Tensor, value: torch.Tensor) -> torch.Tensor:
            return value if hook is None else hook(tensor, value)

        for operator, function in zip(self.graph.operators[start:], self._functions[start:], strict=True):
            inputs = [self._value(tensor, values, seen) for tensor in operator.inputs]
            values[operator.output] = seen(operator.output, function(operator, *inputs))
        outputs = (values[tensor] for tensor in self.graph.outputs)
        return tuple(
            value.reshape(1, *frame_shape(tensor)) if value.shape == tensor.shape else value
            for tensor, value in zip(self.graph.outputs, outputs, strict=True)
        )

    @torch.no_grad()
    def compute(self, position: int, values: Mapping[Tensor, torch.Tensor]) -> torch.Tensor:
        """Return what one operator makes of the activations that it reads."""
        operator = self.graph.operators[position]
        inputs = [self._value(tensor, values, lambda _, value: value) for tensor in operator.inputs]
        return self._functions[position](operator, *inputs)

    def _value(self, tensor: Tensor | None, values: Mapping[Tensor, torch.Tensor], seen: Hook) -> torch.Tensor | None:
        if tensor is None:
            return None
        if tensor.data is None:
            return values[tensor]
        if tensor in self._weight_index:
            return seen(tensor, self.weight(tensor))
        return torch.from_numpy(tensor.data)

    @torch.no_grad()
    def _takes_batches(self) -> bool:
        """Return whether two samples at once give every tensor what they give one by one."""
        if any(tensor.shape[:1] != (1,) for tensor in (*self.graph.inputs, *self.graph.outputs)):
            return False
        generator = torch.Generator().manual_seed(0)
        pair = tuple(torch.randn((2, *tensor.shape[1:]), generator=generator) for tensor in self.graph.inputs)
        together: dict[Tensor, torch.Tensor] = {}
        alone: dict[Tensor, torch.Tensor] = {}

        def keep(found: dict[Tensor, torch.Tensor]) -> Hook:
            def hook(tensor: Tensor, value: torch.Tensor) -> torch.Tensor:
                if tensor.data is None:
                    found[tensor] = value.double()
                return value

            return hook

        try:
            self.run(pair, keep(together))
        except (RuntimeError, IndexError):  # The shapes do not fit.
            return False
        self.run(tuple(values[:1] for values in pair), keep(alone))
        return all(
            value.ndim > 0
            and together[tensor].shape == (2 * len(value), *value.shape[1:])
            and _close(together[tensor][: len(value)], value)
            for tensor, value in alone.items()
        )


def _structure(graph: Graph) -> str:
    """Return a digest of all of a graph but the values of its layers' biases."""
    layouts = ((operator, descriptor_of(operator).weights) for operator in graph.operators)
    biases = {operator.optional_input(layout.bias) for operator, layout in layouts if layout is not None}
    numbers: dict[Tensor, int] = {}

    def described(tensor: Tensor | None) -> object:
        if tensor is None:
            return None
        known = tensor in numbers
        number = numbers.setdefault(tensor, len(numbers))
        values = None
        if tensor.data is not None and tensor not in biases and not known:
            values = hashlib.sha256(tensor.data.tobytes()).hexdigest()
        return number, tensor.shape, tensor.dtype.str, tensor.data is not None, values

    operators = [
        (operator.op, sorted(operator.options.items()), *map(described, (*operator.inputs, None, *operator.outputs)))
        for operator in graph.operators
    ]
    ends = [described(tensor) for tensor in (*graph.inputs, None, *graph.outputs)]
    return hashlib.sha256(repr((ends, operators)).encode()).hexdigest()


def _close(found: torch.Tensor, wanted: torch.Tensor) -> bool:
    """Return whether values differ by no more than the order of their sums explains."""
    largest = float(wanted.nan_to_num(0.0, 0.0, 0.0).abs().amax()) if wanted.numel() else 0.0
    return torch.allclose(found, wanted, rtol=1e-3, atol=1e-3 * largest, equal_nan=True)


def _float_function(operator: Operator, model: str) -> FloatFunction:
    function = descriptor_of(operator).float_function
    if function is None:
        known = ", ".join(name for name, descriptor in OPERATORS.items() if descriptor.float_function is not None)
        raise ModelError(f"operator {operator.index} ({operator.op}) of {model} cannot be quantised; known are {known}")
    return function
