"""A float graph in the one form that quantisation and the compiler know best, whichever converter wrote it.

* A product with a constant matrix, and the constant that is added to it, is FULLY_CONNECTED. As BATCH_MATMUL its
  weights would have one scale for all output channels.
* A TRANSPOSE moves behind the operators that treat all values alike and the means that can name other axes, until
  another one undoes it or something really needs the other order. onnx2tf 2 leaves one before a network's last mean.
* RELU and RELU6 are part of the operator whose output they alone read.
* The shape that a RESHAPE makes is its second input alone.
* What is true or false chooses by SELECT_V2, which broadcasts, where it is SELECT or made a number.

The values stay the same but for the rounding of float32.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from tinyedge.conversion.float_options import FULLY_CONNECTED
from tinyedge.ops import is_function_of_one
from tinyedge.tflite.graph import Graph, Operator, Tensor

_ACTIVATIONS = frozenset({"RELU", "RELU6"})
_TAKES_ACTIVATION = frozenset({"ADD", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MUL", "SUB"})


def canonical(graph: Graph, inputs: Sequence[str], outputs: Sequence[str]) -> Graph:
    """Return a float graph in canonical form, its inputs and outputs with these names."""
    operators = graph.operators
    for rewrite in (_connect_fully, _delay_transposes, _fuse_activations):
        operators = rewrite(operators, graph.outputs)
    named = {
        tensor: dataclasses.replace(tensor, name=name)
        for tensors, names in ((graph.inputs, inputs), (graph.outputs, outputs))
        for tensor, name in zip(tensors, names, strict=True)
    }
    return dataclasses.replace(
        graph,
        operators=[_reconnect(_plain(operator), named) for operator in operators],
        inputs=tuple(named[tensor] for tensor in graph.inputs),
        outputs=tuple(named[tensor] for tensor in graph.outputs),
        sha256="",
    )


def _plain(operator: Operator) -> Operator:
    if operator.op == "SELECT" and operator.input(0).shape == operator.output.shape:
        return dataclasses.replace(operator, op="SELECT_V2")
    if operator.op == "CAST" and operator.input(0).dtype == np.bool_ and operator.output.dtype == np.float32:
        numbers = [np.array([value], np.float32) for value in (1, 0)]
        chosen, other = (Tensor(f"{value[0]:g}", (1,), value.dtype, data=value) for value in numbers)
        return dataclasses.replace(operator, op="SELECT_V2", inputs=(operator.inputs[0], chosen, other), options={})
    if operator.op != "RESHAPE":
        return operator
    inputs = operator.inputs
    if len(inputs) == 1:  # Its options alone have the shape.
        shape = np.array(operator.output.shape, np.int32)
        inputs = (*inputs, Tensor(f"{operator.output.name}/shape", shape.shape, shape.dtype, data=shape))
    return dataclasses.replace(operator, inputs=inputs, options={})


def _reconnect(operator: Operator, tensors: dict[Tensor, Tensor]) -> Operator:
    return dataclasses.replace(
        operator,
        inputs=tuple(None if tensor is None else tensors.get(tensor, tensor) for tensor in operator.inputs),
        outputs=tuple(tensors.get(tensor, tensor) for tensor in operator.outputs),
    )


def _only_readers(operators: list[Operator], outputs: tuple[Tensor, ...]) -> dict[Tensor, Operator]:
    """Return the reader of each tensor that has exactly one, and is no output of the graph."""
    readers: dict[Tensor, list[Operator]] = {tensor: [] for tensor in outputs}
    for operator in operators:
        for tensor in operator.inputs:
            if tensor is not None:
                readers.setdefault(tensor, []).append(operator)
    return {tensor: found[0] for tensor, found in readers.items() if len(found) == 1 and tensor not in outputs}


def _connect_fully(operators: list[Operator], outputs: tuple[Tensor, ...]) -> list[Operator]:
    """Replace products with a constant matrix; they take the place of the addition that follows, if one does."""
    readers = _only_readers(operators, outputs)
    products: dict[Tensor, Operator] = {}  # By the output of the product, to be written where its bias is added.
    connected = []
    for operator in operators:
        if (replaced := _fully_connected(operator)) is not None:
            follower = readers.get(operator.output)
            if follower is not None and _bias_of(follower, operator.output) is not None:
                products[operator.output] = replaced
            else:
                connected.append(replaced)
            continue
        product = next((products[tensor] for tensor in operator.inputs if tensor in products), None)
        if product is None:
            connected.append(operator)
            continue
        activation = operator.options["fused_activation_function"]
        connected.append(
            dataclasses.replace(
                product,
                inputs=(*product.inputs, _bias_of(operator, product.output)),
                outputs=operator.outputs,
                options={**FULLY_CONNECTED, "fused_activation_function": activation},
            )
        )
    return connected


def _fully_connected(operator: Operator) -> Operator | None:
    """Return a product with a constant matrix as FULLY_CONNECTED without a bias; None for anything else."""
    if operator.op != "BATCH_MATMUL" or operator.options.get("adj_x"):
        return None
    source, matrix = operator.inputs
    if source is None or source.is_constant or matrix is None or matrix.data is None:
        return None
    if matrix.elements != matrix.shape[-1] * matrix.shape[-2]:  # One matrix for each of several batches.
        return None
    data = matrix.data.reshape(matrix.shape[-2:])
    data = np.ascontiguousarray(data if operator.options.get("adj_y") else data.T)  # (out, in)
    weight = Tensor(matrix.name, data.shape, data.dtype, data=data)
    return Operator("FULLY_CONNECTED", (source, weight), operator.outputs, FULLY_CONNECTED, index=operator.index)


def _bias_of(operator: Operator, product: Tensor) -> Tensor | None:
    """Return what an operator adds to each channel of a product (..., C), as (C,); None if it does something else."""
    if operator.op != "ADD" or len(operator.inputs) != 2 or product not in operator.inputs:
        return None
    channels = product.shape[-1]
    other = operator.inputs[1] if operator.inputs[0] is product else operator.inputs[0]
    if other is None or other.data is None or other.elements != channels or other.shape[-1] != channels:
        return None
    return dataclasses.replace(other, shape=(channels,), data=other.data.reshape(channels))


def _delay_transposes(operators: list[Operator], outputs: tuple[Tensor, ...]) -> list[Operator]:
    """Write every TRANSPOSE as late as it can be, and not at all if nothing reads it."""
    delayed: dict[Tensor, tuple[Tensor, tuple[int, ...]]] = {}  # What each tensor is a transposition of.
    undone: dict[Tensor, Tensor] = {}  # By tensors whose transpositions cancel out.
    kept = []

    def materialise(tensor: Tensor) -> None:
        if tensor in delayed:
            source, order = delayed.pop(tensor)
            axes = np.array(order, np.int32)
            constant = Tensor(f"{tensor.name}/order", axes.shape, axes.dtype, data=axes)
            kept.append(Operator("TRANSPOSE", (source, constant), (tensor,)))

    for original in operators:
        operator = _reconnect(original, undone)
        first = operator.input(0)
        source, order = delayed.get(first, (first, tuple(range(len(first.shape)))))
        if operator.op == "TRANSPOSE" and operator.inputs[1] is not None and operator.inputs[1].data is not None:
            order = tuple(order[int(axis)] for axis in operator.inputs[1].data)
            if list(order) == sorted(order) and operator.output not in outputs:
                undone[operator.output] = source
            else:
                delayed[operator.output] = (source, order)
        elif first in delayed and is_function_of_one(operator):
            kept.append(_on_source(operator, source, source.shape))
            delayed[operator.output] = (kept[-1].output, order)
        elif first in delayed and operator.op == "MEAN" and (axes := _mean_axes(operator, order)) is not None:
            constant = dataclasses.replace(operator.inputs[1], shape=axes.shape, data=axes)  # type: ignore[type-var]
            mean = dataclasses.replace(operator, inputs=(first, constant))
            if operator.options["keep_dims"]:
                shape = tuple(1 if axis in axes else size for axis, size in enumerate(source.shape))
                kept.append(_on_source(mean, source, shape))
                delayed[operator.output] = (kept[-1].output, order)
            else:
                kept.append(dataclasses.replace(mean, inputs=(source, constant)))
        else:
            for tensor in operator.inputs:
                if tensor is not None:
                    materialise(tensor)
            kept.append(operator)
    for tensor in outputs:
        materialise(tensor)
    return kept


def _on_source(operator: Operator, source: Tensor, shape: tuple[int, ...]) -> Operator:
    """Return an operator that reads what its input is a transposition of."""
    output = dataclasses.replace(operator.output, name=f"{operator.output.name}/source", shape=shape)
    return dataclasses.replace(operator, inputs=(source, *operator.inputs[1:]), outputs=(output,))


def _mean_axes(operator: Operator, order: tuple[int, ...]) -> np.ndarray | None:
    """Return the axes to take a mean over before a transposition; None if that leaves the others in another order."""
    axes = operator.inputs[1]
    if axes is None or axes.data is None:
        return None
    over = [int(axis) % len(order) for axis in axes.data.reshape(-1)]
    others = [source for axis, source in enumerate(order) if axis not in over]
    if not operator.options["keep_dims"] and others != sorted(others):
        return None
    return np.array(sorted(order[axis] for axis in over), axes.data.dtype)


def _fuse_activations(operators: list[Operator], outputs: tuple[Tensor, ...]) -> list[Operator]:
    """Give each RELU and RELU6 to the operator whose output it alone reads."""
    readers = _only_readers(operators, outputs)
    fused: list[Operator] = []
    writers: dict[Tensor, int] = {}
    for operator in operators:
        source = operator.inputs[0]
        position = writers.get(source) if source is not None else None
        if operator.op in _ACTIVATIONS and source in readers and position is not None:
            writer = fused[position]
            if writer.op in _TAKES_ACTIVATION and writer.options.get("fused_activation_function") == "NONE":
                options = {**writer.options, "fused_activation_function": operator.op}
                fused[position] = dataclasses.replace(writer, outputs=operator.outputs, options=options)
                writers[operator.output] = position
                continue
        writers[operator.output] = len(fused)
        fused.append(operator)
    return fused
