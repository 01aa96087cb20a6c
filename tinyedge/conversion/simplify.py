"""What anybody's converted graph needs besides the canonical form: no moves that move nothing, none at its ends."""

import dataclasses

import numpy as np

from tinyedge.tflite.graph import Graph, Operator, Tensor

Order = tuple[int, ...]
"""Which axis of an old tensor each axis of a new one is."""

_ELEMENT_BY_ELEMENT = frozenset({"ADD", "DIV", "MAXIMUM", "MINIMUM", "MUL", "SQUARED_DIFFERENCE", "SUB"})
_VALUE_BY_VALUE = frozenset({"ABS", "GELU", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "RELU", "RELU6", "TANH"})
_PADS = frozenset({"MIRROR_PAD", "PAD", "PADV2"})
_NOT_NEGATIVE = frozenset({"LOGISTIC", "RELU", "RELU6"})
_LOWEST = -1e30  # Anything below stands for minus infinity.
_SHAPES_ALONE = frozenset({"EXPAND_DIMS", "RESHAPE", "SQUEEZE"})


def merge_reshapes(graph: Graph) -> None:
    """Make one RESHAPE of several in a row, in place; one that changes nothing goes.

    A TRANSPOSE that only moves axes of size 1 is a RESHAPE.
    """
    sources: dict[Tensor, Tensor] = {}  # Of a reshaped tensor, what it is made of.
    same: dict[Tensor, Tensor] = {}
    kept = []
    for original in graph.operators:
        operator = _reconnected(original, same)
        if not _is_reshape(operator):
            kept.append(operator)
            continue
        source = sources.get(operator.input(0), operator.input(0))
        if source.shape == operator.output.shape and operator.output not in graph.outputs:
            same[operator.output] = source
            continue
        sources[operator.output] = source
        shape = np.array(operator.output.shape, np.int32)
        constant = Tensor(f"{operator.output.name}/shape", shape.shape, shape.dtype, data=shape)
        kept.append(Operator("RESHAPE", (source, constant), operator.outputs, index=operator.index))
    graph.operators[:] = kept


def _is_reshape(operator: Operator) -> bool:
    if operator.op in _SHAPES_ALONE:
        return not operator.input(0).is_constant
    axes = operator.optional_input(1)
    if operator.op != "TRANSPOSE" or axes is None or axes.data is None:
        return False
    moved = [int(axis) for axis in axes.data if operator.input(0).shape[int(axis)] != 1]
    return moved == sorted(moved)


def move_transposes_behind(graph: Graph) -> bool:
    """Move a transposition behind the sum, product or concatenation whose inputs are all transposed alike, in place.

    Returns:
        Whether there was one; `canonical` then moves it further, behind operators of one input.
    """
    writers = {tensor: operator for operator in graph.operators for tensor in operator.outputs}
    for position, operator in enumerate(graph.operators):
        if operator.op not in _ELEMENT_BY_ELEMENT and operator.op != "CONCATENATION":
            continue
        activations = [tensor for tensor in operator.inputs if tensor is not None and not tensor.is_constant]
        found = [writers.get(tensor) for tensor in activations]
        orders = {None if writer is None else _order(writer) for writer in found}
        order = orders.pop() if len(orders) == 1 else None
        if order is None:
            continue
        inputs: list[Tensor] = []
        for tensor in operator.inputs:
            if tensor in activations:
                inputs.append(writers[tensor].input(0))
            elif (moved := _constant_moved(tensor, order)) is not None:
                inputs.append(moved)
        if len(inputs) < len(operator.inputs):
            continue
        options = dict(operator.options)
        if operator.op == "CONCATENATION":
            options["axis"] = order[int(options["axis"]) % len(order)]
        shape = tuple(operator.output.shape[order.index(axis)] for axis in range(len(order)))
        output = dataclasses.replace(operator.output, name=f"{operator.output.name}/source", shape=shape)
        graph.operators[position : position + 1] = [
            dataclasses.replace(operator, inputs=tuple(inputs), outputs=(output,), options=options),
            _transpose(output, operator.output, order),
        ]
        return True
    return False


def move_transposes_to_inputs(graph: Graph) -> None:
    """Move transpositions before all that stands between an input of the graph and them, in place."""
    while _move_to_input(graph):
        pass


def _move_to_input(graph: Graph) -> bool:
    readers = graph.readers()
    near = set(graph.inputs)  # And what is made of one of them alone, by operators that may come after a transposition.
    for position, operator in enumerate(graph.operators):
        activations = [tensor for tensor in operator.inputs if tensor is not None and not tensor.is_constant]
        if len(activations) != 1 or activations[0] not in near or len(operator.outputs) != 1:
            continue
        follower = readers.get(operator.output, [])
        if len(follower) != 1 or len(readers[activations[0]]) != 1 or operator.output in graph.outputs:
            continue
        if operator.op not in _ELEMENT_BY_ELEMENT | _PADS | _VALUE_BY_VALUE:
            continue
        near.add(operator.output)
        order = _order(follower[0])
        if order is None or len(order) != len(activations[0].shape):
            continue
        inputs: list[Tensor] = []
        for tensor in operator.inputs:
            if tensor is activations[0]:
                shape = tuple(tensor.shape[axis] for axis in order)
                source = dataclasses.replace(tensor, name=f"{tensor.name}/moved", shape=shape)
                inputs.append(source)
            elif operator.op in _PADS and tensor is operator.inputs[1] and tensor is not None:
                inputs.append(dataclasses.replace(tensor, data=np.ascontiguousarray(tensor.values[list(order)])))
            elif operator.op in _PADS and tensor is not None:
                inputs.append(tensor)
            elif (moved := _constant_moved(tensor, tuple(np.argsort(order)))) is not None:
                inputs.append(moved)
        if len(inputs) < len(operator.inputs):
            continue
        swapped = dataclasses.replace(operator, inputs=tuple(inputs), outputs=follower[0].outputs)
        graph.operators[position : position + 1] = [_transpose(activations[0], source, order), swapped]
        graph.operators.remove(follower[0])
        return True
    return False


def _transpose(source: Tensor, output: Tensor, order: Order) -> Operator:
    axes = np.array(order, np.int32)
    constant = Tensor(f"{output.name}/order", axes.shape, axes.dtype, data=axes)
    return Operator("TRANSPOSE", (source, constant), (output,))


def _constant_moved(tensor: Tensor | None, order: Order) -> Tensor | None:
    """Return what a constant that broadcasts to a transposed tensor is to its source; None if it is of lower rank."""
    if tensor is None or tensor.data is None or tensor.elements == 1:
        return tensor
    shape = (1,) * (len(order) - len(tensor.shape)) + tensor.shape
    data = np.ascontiguousarray(tensor.data.reshape(shape).transpose(np.argsort(order)))
    return dataclasses.replace(tensor, shape=data.shape, data=data)


def plain_pads(graph: Graph) -> None:
    """Make PAD of a PADV2 that may pad with 0, in place.

    So it may before a maximum over values that are not negative, for which exporters pad with the lowest float: as an
    activation that would widen the range of all.
    """
    writers = {tensor: operator for operator in graph.operators for tensor in operator.outputs}
    readers = graph.readers()
    for position, operator in enumerate(graph.operators):
        if operator.op != "PADV2" or operator.input(2).data is None or operator.input(2).dtype != np.float32:
            continue
        value = float(operator.input(2).values.reshape(-1)[0])
        writer = writers.get(operator.input(0))
        pooled = all(reader.op == "MAX_POOL_2D" for reader in readers.get(operator.output, []))
        not_negative = writer is not None and (
            writer.op in _NOT_NEGATIVE or writer.options.get("fused_activation_function") in _NOT_NEGATIVE
        )
        if value == 0 or (value < _LOWEST and pooled and not_negative):
            graph.operators[position] = dataclasses.replace(operator, op="PAD", inputs=operator.inputs[:2])


def without_outer_transposes(graph: Graph) -> tuple[Graph, tuple[Order, ...]]:
    """Leave out transpositions of whole inputs and outputs: whoever runs the graph arranges those so.

    Returns:
        The graph, and the order of each of its inputs; that of one that stays is 0, 1, 2 ...
    """
    readers = graph.readers()
    writers = {tensor: operator for operator in graph.operators for tensor in operator.outputs}
    replaced: dict[Tensor, Tensor] = {}
    left_out: list[Operator] = []
    inputs, outputs, orders = [], [], []
    for tensor in graph.inputs:
        transposes = readers.get(tensor, [])
        order = _common_order(transposes, graph.outputs)
        if order is not None and tensor not in graph.outputs:
            tensor = dataclasses.replace(tensor, shape=tuple(tensor.shape[axis] for axis in order))
            replaced.update((operator.output, tensor) for operator in transposes)
            left_out += transposes
        inputs.append(tensor)
        orders.append(order or tuple(range(len(tensor.shape))))
    for tensor in graph.outputs:
        writer = writers.get(tensor)
        if writer is not None and _order(writer) is not None and tensor not in readers:
            source = writer.input(0)
            if source in writers and source not in replaced and source not in graph.outputs:
                replaced[source] = dataclasses.replace(source, name=tensor.name)
                left_out.append(writer)
                tensor = replaced[source]
        outputs.append(tensor)
    operators = [_reconnected(operator, replaced) for operator in graph.operators if operator not in left_out]
    found = dataclasses.replace(graph, operators=operators, inputs=tuple(inputs), outputs=tuple(outputs))
    return found, tuple(orders)


def _common_order(operators: list[Operator], outputs: tuple[Tensor, ...]) -> Order | None:
    """Return the order of transpositions that all do the same to one tensor, within its batch; None if they do not."""
    orders = {_order(operator) for operator in operators}
    if len(orders) != 1 or any(operator.output in outputs for operator in operators):
        return None
    return orders.pop()


def _order(operator: Operator) -> Order | None:
    """Return the order of a TRANSPOSE that leaves the batch first; None of another operator."""
    axes = operator.optional_input(1)
    if operator.op != "TRANSPOSE" or axes is None or axes.data is None or axes.data[0] != 0:
        return None
    return tuple(int(axis) for axis in axes.data)


def _reconnected(operator: Operator, tensors: dict[Tensor, Tensor]) -> Operator:
    return dataclasses.replace(
        operator,
        inputs=tuple(None if tensor is None else tensors.get(tensor, tensor) for tensor in operator.inputs),
        outputs=tuple(tensors.get(tensor, tensor) for tensor in operator.outputs),
    )
