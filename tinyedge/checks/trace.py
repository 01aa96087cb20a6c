"""A folded network as the TFLite graph that its export will be, without the converter and TensorFlow.

The network runs once on zeros, and each function that it calls is noted as TFLite's operator. Images are channels last
in TFLite, so a value here is a tensor of the graph and the order in which PyTorch sees its axes: permutations cost
nothing as long as an operator can take them.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from tinyedge.errors import UnsupportedOpError
from tinyedge.ops import OPERATORS, descriptor_of
from tinyedge.tflite.graph import Graph, Operator, Tensor

_NCHW = (0, 3, 1, 2)
"""Where PyTorch's axes of an image are in TFLite."""

_ACTIVATIONS = ("RELU", "RELU6")
_NO_ACTIVATION = {"fused_activation_function": "NONE"}


@dataclass(frozen=True)
class _Value:
    """A PyTorch tensor: `axes[i]` is the axis of the graph's tensor that PyTorch calls i."""

    tensor: Tensor
    axes: tuple[int, ...]


def trace(network: nn.Module, input_size: int, name: str, channels: int = 3) -> Graph:
    """Return the float graph of a network.

    Args:
        network: Of the functions that `Encoder.fold` leaves, in evaluation mode.
        input_size: H = W of the images.
        name: Of the graph.
        channels: Of the images.

    Raises:
        UnsupportedOpError: It calls a function, or a form of one, that has no operator here.
    """
    image = torch.zeros(1, channels, input_size, input_size)
    recorder = _Recorder(image)
    with torch.no_grad(), recorder:
        out = network(image)
    recorder.fuse_activations()
    output = recorder.value(out, "the output").tensor
    return Graph(name, recorder.operators, (recorder.input,), (output,))


class _Recorder(TorchFunctionMode):
    """Notes the operators of the functions that are called."""

    def __init__(self, image: torch.Tensor) -> None:
        super().__init__()
        batch, channels, height, width = image.shape
        self.input = Tensor("image", (batch, height, width, channels), np.dtype(np.float32))
        self.operators: list[Operator] = []
        # The tensors are kept, or another one could get the identity of one that is gone.
        self._values: dict[int, tuple[torch.Tensor, _Value]] = {id(image): (image, _Value(self.input, _NCHW))}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and any(isinstance(a, torch.Tensor) and id(a) in self._values for a in args):
            record = _FUNCTIONS.get(func)
            if record is None:
                raise UnsupportedOpError(f"a network that calls {getattr(func, '__name__', func)} cannot be traced")
            self._values[id(out)] = out, record(self, out, *args, **(kwargs or {}))
        return out

    def value(self, tensor: torch.Tensor, what: str, axes: tuple[int, ...] | None = None) -> _Value:
        """The value of a PyTorch tensor, whose axes have to be as given."""
        if id(tensor) not in self._values:
            raise UnsupportedOpError(f"{what} of the network is not computed from its image")
        value = self._values[id(tensor)][1]
        if axes is not None and value.axes != axes:
            raise UnsupportedOpError(f"{what} has its axes in the order {value.axes}: it needs a TRANSPOSE to {axes}")
        return value

    def constant(self, values: torch.Tensor) -> Tensor:
        """A constant of the graph."""
        data = np.ascontiguousarray(values.detach().numpy())
        return Tensor(f"constant_{id(values)}", data.shape, data.dtype, data=data)

    def constants(self, *values: torch.Tensor | None) -> list[Tensor]:
        """The same for those that are there."""
        return [self.constant(value) for value in values if value is not None]

    def integers(self, *values: Any) -> Tensor:
        """A constant of integers: a shape, axes, paddings."""
        data = np.array(values, np.int32)
        return Tensor("integers", data.shape, data.dtype, data=data)

    def emit(
        self, op: str, inputs: Iterable[Tensor | None], shape: tuple[int, ...], options: Mapping[str, Any]
    ) -> Tensor:
        """Add an operator; returns its output."""
        index = len(self.operators)
        output = Tensor(f"{op.lower()}_{index}", shape, np.dtype(np.float32))
        self.operators.append(Operator(op, tuple(inputs), (output,), dict(options), index=index))
        return output

    def fuse_activations(self) -> None:
        """Let the operator before a RELU or RELU6 that alone reads it compute that too."""
        graph = Graph("", self.operators, (self.input,), ())
        readers, writers = graph.readers(), {operator.output: operator for operator in self.operators}
        kept = []
        for operator in self.operators:
            source = operator.inputs[0]
            writer = writers.get(source) if source is not None else None
            if (
                operator.op in _ACTIVATIONS
                and writer is not None
                and descriptor_of(writer).fuses_activation
                and readers[writer.output] == [operator]
                and writer.options["fused_activation_function"] == "NONE"
            ):
                writer.options["fused_activation_function"] = operator.op
                writer.outputs = operator.outputs
                writers[operator.output] = writer
            else:
                kept.append(operator)
        for index, operator in enumerate(kept):
            operator.index = index
        self.operators[:] = kept


def _pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[-1])


def _conv2d(
    recorder: _Recorder,
    out: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: int | tuple[int, ...] = 1,
    padding: int | tuple[int, ...] = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
) -> _Value:
    source = recorder.value(x, "a convolution's input", _NCHW).tensor
    strides, paddings, dilations = _pair(stride), _pair(padding), _pair(dilation)
    same = True
    for axis in range(2):
        reach = (weight.shape[2 + axis] - 1) * dilations[axis] + 1
        size = source.shape[1 + axis]
        needed = max((-(-size // strides[axis]) - 1) * strides[axis] + reach - size, 0)
        # TFLite's SAME puts the odd row and column after the image; PyTorch pads alike on both sides.
        same = same and (needed // 2, needed - needed // 2) == (paddings[axis], paddings[axis])
    if not same and any(paddings):
        amounts = [(0, 0), (paddings[0],) * 2, (paddings[1],) * 2, (0, 0)]
        shape = tuple(size + sum(pair) for size, pair in zip(source.shape, amounts, strict=True))
        source = recorder.emit("PAD", (source, recorder.integers(*amounts)), shape, {})
    options: dict[str, Any] = {
        "padding": "SAME" if same else "VALID",
        "stride_w": strides[1],
        "stride_h": strides[0],
        **_NO_ACTIVATION,
        "dilation_w_factor": dilations[1],
        "dilation_h_factor": dilations[0],
    }
    depthwise = groups == x.shape[1] > 1
    if depthwise:
        op, weights = "DEPTHWISE_CONV_2D", weight.permute(1, 2, 3, 0)
        options["depth_multiplier"] = len(weight) // groups
    else:
        op, weights = "CONV_2D", weight.permute(0, 2, 3, 1)
    inputs = [source, recorder.constant(weights), *recorder.constants(bias)]
    batch, channels, height, width = out.shape
    return _Value(recorder.emit(op, inputs, (batch, height, width, channels), options), _NCHW)


def _linear(
    recorder: _Recorder, out: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None
) -> _Value:
    axes = tuple(range(x.ndim))
    source = recorder.value(x, "a linear layer's input", axes).tensor
    options = {**_NO_ACTIVATION, "keep_num_dims": x.ndim > 2}
    inputs = [source, recorder.constant(weight), *recorder.constants(bias)]
    return _Value(recorder.emit("FULLY_CONNECTED", inputs, tuple(out.shape), options), axes)


def _matmul(recorder: _Recorder, out: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> _Value:
    axes = tuple(range(x.ndim))
    swapped = (*axes[:-2], axes[-1], axes[-2])
    first, second = recorder.value(x, "a product's first factor", axes), recorder.value(y, "a product's second factor")
    if second.axes not in (axes, swapped):
        raise UnsupportedOpError(f"a matrix product takes its second factor with the axes {second.axes}")
    options = {"adj_x": False, "adj_y": second.axes == swapped}
    return _Value(recorder.emit("BATCH_MATMUL", (first.tensor, second.tensor), tuple(out.shape), options), axes)


def _elementwise(op: str) -> Callable[..., _Value]:
    def record(recorder: _Recorder, out: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> _Value:
        first = recorder.value(x, f"an operand of {op}")
        second = recorder.value(y, f"an operand of {op}", first.axes)
        shape = np.broadcast_shapes(first.tensor.shape, second.tensor.shape)
        return _Value(recorder.emit(op, (first.tensor, second.tensor), shape, _NO_ACTIVATION), first.axes)

    return record


def _unary(op: str, options: Mapping[str, Any]) -> Callable[..., _Value]:
    def record(recorder: _Recorder, out: torch.Tensor, x: torch.Tensor, *_: Any, **__: Any) -> _Value:
        source = recorder.value(x, f"the input of {op}")
        return _Value(recorder.emit(op, (source.tensor,), source.tensor.shape, options), source.axes)

    return record


def _silu(recorder: _Recorder, out: torch.Tensor, x: torch.Tensor, *_: Any, **__: Any) -> _Value:
    source = recorder.value(x, "SiLU's input")
    gate = recorder.emit("LOGISTIC", (source.tensor,), source.tensor.shape, {})
    return _Value(recorder.emit("MUL", (source.tensor, gate), source.tensor.shape, _NO_ACTIVATION), source.axes)


def _hardtanh(
    recorder: _Recorder, out: torch.Tensor, x: torch.Tensor, min_val: float, max_val: float, **_: Any
) -> _Value:
    if (min_val, max_val) != (0.0, 6.0):
        raise UnsupportedOpError(f"a clamp to [{min_val}, {max_val}] has no operator in TFLite Micro: use ReLU6")
    return _unary("RELU6", {})(recorder, out, x)


def _softmax(recorder: _Recorder, out: torch.Tensor, x: torch.Tensor, dim: int, *_: Any, **__: Any) -> _Value:
    source = recorder.value(x, "softmax's input", tuple(range(x.ndim)))
    if dim % x.ndim != x.ndim - 1:
        raise UnsupportedOpError(f"softmax is along axis {dim}, and TFLite's along the last")
    return _Value(recorder.emit("SOFTMAX", (source.tensor,), source.tensor.shape, {"beta": 1.0}), source.axes)


def _mean(
    recorder: _Recorder, out: torch.Tensor, x: torch.Tensor, dim: tuple[int, ...], keepdim: bool = False
) -> _Value:
    source = recorder.value(x, "a mean's input")
    reduced = sorted(source.axes[axis % x.ndim] for axis in dim)
    if keepdim:
        shape = tuple(1 if axis in reduced else size for axis, size in enumerate(source.tensor.shape))
        axes = source.axes
    else:
        kept = [axis for axis in range(x.ndim) if axis not in reduced]
        shape = tuple(source.tensor.shape[axis] for axis in kept)
        axes = tuple(kept.index(axis) for axis in source.axes if axis in kept)
    inputs = (source.tensor, recorder.integers(*reduced))
    return _Value(recorder.emit("MEAN", inputs, shape, {"keep_dims": keepdim}), axes)


def _permute(recorder: _Recorder, out: torch.Tensor, x: torch.Tensor, *order: Any) -> _Value:
    source = recorder.value(x, "a permutation's input")
    flat = order[0] if len(order) == 1 else order
    return _Value(source.tensor, tuple(source.axes[axis] for axis in flat))


def _transpose(recorder: _Recorder, out: torch.Tensor, x: torch.Tensor, first: int, second: int) -> _Value:
    source = recorder.value(x, "a transposition's input")
    axes = list(source.axes)
    axes[first], axes[second] = axes[second], axes[first]
    return _Value(source.tensor, tuple(axes))


def _reshape(recorder: _Recorder, out: torch.Tensor, x: torch.Tensor, *_: Any) -> _Value:
    source = recorder.value(x, "a reshape's input", tuple(range(x.ndim)))
    shape = tuple(out.shape)
    assert math.prod(shape) == source.tensor.elements
    inputs = (source.tensor, recorder.integers(*shape))
    return _Value(recorder.emit("RESHAPE", inputs, shape, {}), tuple(range(out.ndim)))


def _described() -> dict[Callable[..., Any], Callable[..., _Value]]:
    """The functions that operators' descriptors name."""
    found = {}
    for descriptor in OPERATORS.values():
        form = descriptor.torch
        if form is not None:
            record = _elementwise(descriptor.name) if form.operands == 2 else _unary(descriptor.name, form.options)
            found.update({attrgetter(name.removeprefix("torch."))(torch): record for name in form.functions})
    return found


_FUNCTIONS: dict[Callable[..., Any], Callable[..., _Value]] = {
    **_described(),
    torch.conv2d: _conv2d,
    F.linear: _linear,
    F.hardtanh: _hardtanh,
    F.silu: _silu,
    torch.matmul: _matmul,
    torch.Tensor.matmul: _matmul,
    torch.Tensor.__matmul__: _matmul,
    torch.Tensor.mean: _mean,
    torch.Tensor.permute: _permute,
    torch.Tensor.reshape: _reshape,
    torch.Tensor.softmax: _softmax,
    torch.Tensor.transpose: _transpose,
}
