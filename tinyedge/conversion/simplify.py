"""What anybody's converted graph needs besides the canonical form: no moves that move nothing, none at its ends."""

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np

from tinyedge.ops import descriptor_of, is_function_of_one
from tinyedge.tflite.graph import Graph, Operator, Tensor

Order = tuple[int, ...]
"""Which axis of an old tensor each axis of a new one is."""

_PADS = frozenset({"MIRROR_PAD", "PAD", "PADV2"})
_NOT_NEGATIVE = frozenset({"LOGISTIC", "RELU", "RELU6"})
_CHANNELS = ((0, 3, 1, 2), (0, 2, 3, 1))  # To the front, and to the back.
_JOINS = frozenset({"CONCATENATION", "PACK"})
_CUTS = frozenset({"GATHER", "SLICE", "STRIDED_SLICE"})
_LOWEST = -1e30  # Anything below stands for minus infinity.
_SHAPES_ALONE = frozenset({"EXPAND_DIMS", "RESHAPE", "SQUEEZE"})
_MOVES = _SHAPES_ALONE | {"TRANSPOSE"}


def show_transposes(graph: Graph) -> None:
    """Make a TRANSPOSE of a RESHAPE that moves the channels of a map of one pixel, in place.

    As one it cancels with those of the maps that it is multiplied with; `merge_reshapes` undoes what is left.
    """
    for position, operator in enumerate(graph.operators):
        if operator.op != "RESHAPE" or operator.input(0).is_constant:
            continue
        source, output = operator.input(0), operator.output
        for order in _CHANNELS:
            moved = len(source.shape) == 4 and tuple(source.shape[axis] for axis in order) == output.shape
            if moved and source.elements == max(source.shape) > 1 and source.shape != output.shape:
                graph.operators[position] = _transpose(source, output, order)


def move_reshapes_behind(graph: Graph) -> None:
    """Compute what treats all values alike before the reshape that it reads and not behind it, in place.

    So it lies beside the convolution of a sequence, which is one between two reshapes.
    """
    readers = graph.readers()
    writers = {tensor: operator for operator in graph.operators for tensor in operator.outputs}
    for position, operator in enumerate(graph.operators):
        reshape = writers.get(operator.inputs[0]) if is_function_of_one(operator) and operator.inputs[0] else None
        if reshape is None or reshape.op != "RESHAPE" or len(readers[reshape.output]) > 1:
            continue
        if reshape.output in graph.outputs:
            continue
        source, output = reshape.input(0), operator.output
        middle = dataclasses.replace(output, name=f"{output.name}/source", shape=source.shape)
        before = graph.operators.index(reshape)
        graph.operators[before] = dataclasses.replace(operator, inputs=(source,), outputs=(middle,))
        graph.operators[position] = writers[output] = _reshape(middle, output, reshape.index)


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
        kept.append(_reshape(source, operator.output, operator.index))
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
        if operator.op == "RESHAPE" and (replaced := _behind_reshape(operator, writers)) is not None:
            graph.operators[position : position + 1] = replaced
            return True
        if not descriptor_of(operator).is_function and operator.op != "CONCATENATION":
            continue
        activations = [tensor for tensor in operator.inputs if tensor is not None and not tensor.is_constant]
        found = [writers.get(tensor) for tensor in activations]
        orders = {None if writer is None else _order(writer) for writer in found}
        order = orders.pop() if len(orders) == 1 else None
        if order is None or len(order) != len(operator.output.shape):  # A constant of more axes adds them in front.
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


def _behind_reshape(operator: Operator, writers: dict[Tensor, Operator]) -> list[Operator] | None:
    """Return a RESHAPE that only adds or drops axes of size 1 and the transposition of what it reads, exchanged."""
    writer = writers.get(operator.input(0))
    order = None if writer is None else _order(writer)
    if writer is None or order is None:
        return None
    source, output = writer.input(0), operator.output
    sizes = [source.shape[axis] for axis in order if source.shape[axis] != 1]
    moved = _among_longer_axes(source.shape, order, output.shape)
    if moved is None or sizes != [size for size in output.shape if size != 1]:
        return None
    shape = [0] * len(moved)
    for axis, size in zip(moved, output.shape, strict=True):
        shape[axis] = size
    middle = dataclasses.replace(output, name=f"{output.name}/source", shape=tuple(shape))
    return [_reshape(source, middle, operator.index), _transpose(middle, output, moved)]


def _among_longer_axes(shape: tuple[int, ...], order: Order, other: tuple[int, ...]) -> Order | None:
    """Return what an order of a shape's axes is for a shape with as many axes longer than 1; the others stay."""
    longer = [axis for axis, size in enumerate(shape) if size != 1]
    places = [axis for axis, size in enumerate(other) if size != 1]
    if len(longer) != len(places):
        return None
    moved = list(range(len(other)))
    for place, axis in zip(places, (axis for axis in order if shape[axis] != 1), strict=True):
        moved[place] = places[longer.index(axis)]
    return tuple(moved)


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
        if not descriptor_of(operator).is_function and operator.op not in _PADS | {"RESHAPE"}:
            continue
        near.add(operator.output)
        order = _order(follower[0])
        if order is not None and operator.op == "RESHAPE":
            source, middle = activations[0], operator.output
            moved_order = _among_longer_axes(middle.shape, order, source.shape)
            sizes = [[size for size in tensor.shape if size != 1] for tensor in (source, middle)]
            if moved_order is None or sizes[0] != sizes[1]:
                continue
            shape = tuple(source.shape[axis] for axis in moved_order)
            moved_source = dataclasses.replace(source, name=f"{source.name}/moved", shape=shape)
            graph.operators[position : position + 1] = [
                _transpose(source, moved_source, moved_order),
                _reshape(moved_source, follower[0].output, operator.index),
            ]
            graph.operators.remove(follower[0])
            return True
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


def _reshape(source: Tensor, output: Tensor, index: int) -> Operator:
    shape = np.array(output.shape, np.int32)
    constant = Tensor(f"{output.name}/shape", shape.shape, shape.dtype, data=shape)
    return Operator("RESHAPE", (source, constant), (output,), index=index)


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
        reading = readers.get(operator.output, [])
        pooled = operator.output not in graph.outputs and all(reader.op == "MAX_POOL_2D" for reader in reading)
        not_negative = writer is not None and (
            writer.op in _NOT_NEGATIVE or writer.options.get("fused_activation_function") in _NOT_NEGATIVE
        )
        if value == 0 or (value < _LOWEST and pooled and not_negative):
            graph.operators[position] = dataclasses.replace(operator, op="PAD", inputs=operator.inputs[:2])


def flatten_into_weights(graph: Graph) -> None:
    """Give the columns of FULLY_CONNECTED the order that the map before a flattening has, in place.

    Exporters flatten channels first, which takes a transposition of the map.
    """
    readers = graph.readers()
    writers = {tensor: operator for operator in graph.operators for tensor in operator.outputs}
    replaced: dict[Operator, list[Operator]] = {}
    for operator in graph.operators:
        flattening = writers.get(operator.input(0)) if operator.op == "FULLY_CONNECTED" else None
        moving = writers.get(flattening.input(0)) if flattening is not None and flattening.op == "RESHAPE" else None
        order = None if moving is None else _order(moving)
        if flattening is None or moving is None or order is None or not operator.input(1).is_constant:
            continue
        weight, moved = operator.input(1), flattening.input(0)
        between = (moved, flattening.output)
        if any(len(readers[tensor]) > 1 or tensor in graph.outputs for tensor in between):
            continue
        if weight.shape[1] != moved.elements:
            continue
        columns = weight.values.reshape(-1, *moved.shape[1:])
        back = [0, *(1 + order[1:].index(axis) for axis in range(1, len(order)))]
        data = np.ascontiguousarray(columns.transpose(back).reshape(weight.shape))
        inputs = (flattening.output, dataclasses.replace(weight, data=data), *operator.inputs[2:])
        replaced |= {
            moving: [],
            flattening: [_reshape(moving.input(0), flattening.output, flattening.index)],
            operator: [dataclasses.replace(operator, inputs=inputs)],
        }
    graph.operators[:] = [new for operator in graph.operators for new in replaced.get(operator, [operator])]


def take_operands(graph: Graph) -> None:
    """Read an operand of a CONCATENATION or PACK where it alone is cut out of the whole, moved or not, in place.

    So an unrolled recurrent layer whose last output is read keeps that, and not those of all its steps.
    """
    writers = {tensor: operator for operator in graph.operators for tensor in operator.outputs}
    for position, operator in enumerate(graph.operators):
        if operator.op not in _CUTS:
            continue
        moves = [operator]
        while (writer := writers.get(moves[-1].input(0))) is not None and writer.op in _MOVES:
            moves.append(writer)
        if (
            writer is None
            or writer.op not in _JOINS
            or writer.options.get("fused_activation_function", "NONE") != "NONE"
        ):
            continue
        taken = _positions_taken(reversed(moves), writer.output)
        if taken is None:
            continue
        for operand, positions in _operand_positions(writer):
            if np.array_equal(positions.reshape(-1), taken.reshape(-1)):
                graph.operators[position] = _reshape(operand, operator.output, operator.index)


def _positions_taken(moves: Iterable[Operator], whole: Tensor) -> np.ndarray | None:
    """Return which values of a tensor moves of constant bounds leave, by their position; None without."""
    positions = np.arange(whole.elements, dtype=np.int64).reshape(whole.shape)
    for move in moves:
        fold = descriptor_of(move).fold
        if fold is None or not all(tensor is None or tensor.is_constant for tensor in move.inputs[1:]):
            return None
        numbered = dataclasses.replace(move.input(0), dtype=positions.dtype, data=positions)
        moved = fold(dataclasses.replace(move, inputs=(numbered, *move.inputs[1:])))
        if moved is None:
            return None
        positions = moved
    return positions


def _operand_positions(joined: Operator) -> Iterator[tuple[Tensor, np.ndarray]]:
    """Yield each operand of a CONCATENATION or PACK, and where its values lie in the whole."""
    whole = joined.output
    positions = np.arange(whole.elements).reshape(whole.shape)
    axis, start = int(joined.options.get("axis", 0)), 0
    for operand in joined.inputs:
        if operand is not None:
            size = operand.shape[axis] if joined.op == "CONCATENATION" else 1
            yield operand, np.take(positions, range(start, start + size), axis)
            start += size


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
