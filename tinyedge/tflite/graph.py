"""The compiler's view of a model: operators in execution order over quantised tensors."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinyedge.errors import ModelError


@dataclass(frozen=True)
class Quantisation:
    """Affine quantisation: real = scale * (quantised - zero_point).

    Attributes:
        scales: (1,) per tensor or (C,) per channel, float32.
        zero_points: Same length, int32.
        axis: The channel axis of per-channel scales; 0 where there is one scale.
    """

    scales: np.ndarray
    zero_points: np.ndarray
    axis: int = 0

    def equals(self, other: "Quantisation | None") -> bool:
        """Whether equal integers of both mean equal reals."""
        return (
            other is not None
            and np.array_equal(self.scales, other.scales)
            and np.array_equal(self.zero_points, other.zero_points)
            and (self.scales.size == 1 or self.axis == other.axis)
        )

    @property
    def scale(self) -> float:
        """The one scale of a per-tensor quantisation, exactly the file's float32."""
        return float(self.scales[0])

    @property
    def zero_point(self) -> int:
        """The one zero point of a per-tensor quantisation."""
        return int(self.zero_points[0])

    def reals(self, codes: np.ndarray) -> np.ndarray:
        """Return what codes mean, float32, as DEQUANTIZE computes it.

        Args:
            codes: Integers; where there are several scales, of a shape that has their axis.
        """
        shape = [1] * codes.ndim
        if self.scales.size > 1:
            shape[self.axis] = -1
        steps = codes.astype(np.int32) - self.zero_points.reshape(shape)
        reals: np.ndarray = self.scales.reshape(shape) * steps.astype(np.float32)
        return reals


@dataclass(eq=False)
class Tensor:
    """A tensor of the graph; identity, not value, tells two of them apart.

    Attributes:
        name: As in the file.
        shape: All dimensions, the batch of 1 included; NHWC for images.
        dtype: int8 or int16 for activations, int8 for weights, int32 or int64 for biases, int32 for shape-like
            constants; float32 and uint8 where a model takes or gives them.
        quantisation: None for tensors that have none.
        data: The value of a constant, of `shape` and `dtype`; None for an activation.
        base: For a view, the activation whose memory it shares byte for byte; None for a tensor with its own.
        base_offset: For a view of a part of that, the byte with which it begins.
        is_int4: Whether it is a constant of values from -8 to 7 that the file holds as INT4; `dtype` is int8 all the
            same.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    quantisation: Quantisation | None = None
    data: np.ndarray | None = None
    base: "Tensor | None" = None
    base_offset: int = 0
    is_int4: bool = False

    @property
    def storage(self) -> "Tensor":
        """The tensor that owns its memory: itself, or the end of its chain of bases."""
        tensor = self
        while tensor.base is not None:
            tensor = tensor.base
        return tensor

    @property
    def storage_offset(self) -> int:
        """The byte of its storage with which it begins."""
        return 0 if self.base is None else self.base_offset + self.base.storage_offset

    @property
    def q(self) -> Quantisation:
        """Its quantisation, where it has to have one.

        Raises:
            ModelError: It has none.
        """
        if self.quantisation is None:
            raise ModelError(f"tensor '{self.name}' has no scale and zero point: quantise the model")
        return self.quantisation

    @property
    def values(self) -> np.ndarray:
        """Its value, where it has to be constant.

        Raises:
            ModelError: It is an activation.
        """
        if self.data is None:
            raise ModelError(f"tensor '{self.name}' is computed, and here only a constant will do")
        return self.data

    @property
    def elements(self) -> int:
        """How many values it holds."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """How much memory its values take."""
        return -(-self.elements // 2) if self.is_int4 else self.elements * self.dtype.itemsize

    @property
    def is_constant(self) -> bool:
        """Whether its value is known at compile time."""
        return self.data is not None


def integer_constant(name: str, values: Sequence[int] | np.ndarray) -> Tensor:
    """An int32 tensor that says a shape, axes or bounds."""
    data = np.asarray(values, np.int32)
    return Tensor(name, data.shape, data.dtype, data=data)


@dataclass(eq=False)
class Operator:
    """One node.

    Attributes:
        op: TFLite's name of the operator: "CONV_2D".
        inputs: In TFLite's order; None for an optional input that is absent.
        outputs: In TFLite's order.
        options: The builtin options by their snake_case schema names ("stride_h", "fused_activation_function");
            enumerations as their schema names ("SAME", "RELU6"). Of a custom operator the bytes of its own,
            "custom_options".
        version: The operator's version in the file.
        index: Its position in the file, for messages.
    """

    op: str
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    options: dict[str, Any] = field(default_factory=dict)
    version: int = 1
    index: int = 0

    @property
    def output(self) -> Tensor:
        """The only output."""
        (output,) = self.outputs
        return output

    def input(self, position: int) -> Tensor:
        """The input at a position, where there has to be one.

        Raises:
            ModelError: It is absent.
        """
        tensor = self.optional_input(position)
        if tensor is None:
            raise ModelError(f"operator {self.index} ({self.op}) has no input {position}")
        return tensor

    def optional_input(self, position: int) -> Tensor | None:
        """The input at a position; None if it is absent."""
        return self.inputs[position] if position < len(self.inputs) else None


@dataclass(frozen=True, eq=False)
class State:
    """What a streaming model keeps from one inference to the next.

    Attributes:
        name: As in the file.
        before: What an inference finds, read by operators and written by none.
        after: What it leaves for the next, of the same size and type; `before` itself where an operator changes its
            state in place.
        initial: Before the first inference, of the shape and type of `before`.
    """

    name: str
    before: Tensor
    after: Tensor
    initial: np.ndarray


@dataclass(eq=False)
class Graph:
    """A model: operators in an order in which they can run.

    Attributes:
        name: For the generated code and the report.
        operators: In execution order.
        inputs: The model's inputs.
        outputs: The model's outputs.
        sha256: Of the file it came from, as hex.
        states: What it keeps from one inference to the next.
    """

    name: str
    operators: list[Operator]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    sha256: str = ""
    states: tuple[State, ...] = ()

    @property
    def sources(self) -> tuple[Tensor, ...]:
        """What is there before the first operator runs: the inputs, and the states as they were left."""
        return (*self.inputs, *(state.before for state in self.states))

    @property
    def results(self) -> tuple[Tensor, ...]:
        """What has to be there after the last operator: the outputs, and the states as they are left."""
        return (*self.outputs, *(state.after for state in self.states))

    def tensors(self) -> tuple[Tensor, ...]:
        """All that it names, each once."""
        named = dict.fromkeys((*self.sources, *self.results))
        for operator in self.operators:
            named.update(dict.fromkeys(t for t in (*operator.inputs, *operator.outputs) if t is not None))
        return tuple(named)

    def copy(self) -> "Graph":
        """A graph with operators and tensors of its own, for passes to change; constants share their values."""
        tensors: dict[Tensor, Tensor] = {}

        def copied(tensor: Tensor) -> Tensor:
            if tensor not in tensors:
                base = None if tensor.base is None else copied(tensor.base)
                tensors[tensor] = dataclasses.replace(tensor, base=base)
            return tensors[tensor]

        def copied_all(several: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return tuple(copied(tensor) for tensor in several)

        operators = [
            dataclasses.replace(
                operator,
                inputs=tuple(None if tensor is None else copied(tensor) for tensor in operator.inputs),
                outputs=copied_all(operator.outputs),
                options=dict(operator.options),
            )
            for operator in self.operators
        ]
        states = tuple(
            dataclasses.replace(state, before=copied(state.before), after=copied(state.after)) for state in self.states
        )
        return Graph(self.name, operators, copied_all(self.inputs), copied_all(self.outputs), self.sha256, states)

    def histogram(self) -> dict[str, int]:
        """Count the operators by name."""
        counts: dict[str, int] = {}
        for operator in self.operators:
            counts[operator.op] = counts.get(operator.op, 0) + 1
        return dict(sorted(counts.items()))

    def readers(self) -> dict[Tensor, list[Operator]]:
        """The operators that read each tensor, in execution order; a tensor that none reads is absent."""
        found: dict[Tensor, list[Operator]] = {}
        for operator in self.operators:
            for tensor in dict.fromkeys(operator.inputs):
                if tensor is not None:
                    found.setdefault(tensor, []).append(operator)
        return found
