"""A float UNIDIRECTIONAL_SEQUENCE_LSTM of TFLite, as Keras's layers become, written out step by step.

What `tinyedge.conversion.recurrent` says of ONNX's layers is true of it.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tinyedge.conversion.float_options import FULLY_CONNECTED, PRODUCT, SUM
from tinyedge.conversion.recurrent import MOST_STEPS
from tinyedge.errors import UnsupportedOpError
from tinyedge.tflite.graph import Operator, Tensor

LSTM = "UNIDIRECTIONAL_SEQUENCE_LSTM"
_FLOAT = np.dtype(np.float32)
# Positions of the inputs, each for the gates that pass values in and out and keep the cell, and for the candidate.
_WEIGHTS, _RECURRENT, _BIASES = (1, 4, 2, 3), (5, 8, 6, 7), (12, 15, 13, 14)
_ABSENT = (*range(9, 12), 16, 17, *range(20, 24))


def written_out(operator: Operator, path: Path) -> list[Operator]:
    """Return the operators that compute what a layer does from a state of zeros on.

    Raises:
        UnsupportedOpError: It is of more steps than `MOST_STEPS`, or of a form that Keras does not write.
    """
    source = operator.input(0)
    if any(operator.optional_input(position) is not None for position in _ABSENT):
        problem = "peepholes, a projection or layer normalisation"
    elif operator.options.get("fused_activation_function") != "TANH" or operator.options.get("cell_clip"):
        problem = "an activation other than tanh, or a limit to its cell"
    elif (steps := source.elements // source.shape[-1]) > MOST_STEPS:
        problem = f"{steps} steps, of which {MOST_STEPS} can be written out"
    elif not operator.options.get("time_major"):
        return list(_steps(operator))
    else:  # (steps, 1, values), which in a batch of 1 are the values of (1, steps, values).
        output = operator.output
        inner_source, inner_output = (
            dataclasses.replace(tensor, name=f"{tensor.name}/batch_first", shape=(1, steps, tensor.shape[-1]))
            for tensor in (source, output)
        )
        inner = dataclasses.replace(operator, inputs=(inner_source, *operator.inputs[1:]), outputs=(inner_output,))
        return [_reshape(source, inner_source), *_steps(inner), _reshape(inner_output, output)]
    raise UnsupportedOpError(f"operator {operator.index} ({LSTM}) of {path} has {problem}: export it without")


def _steps(operator: Operator) -> Iterator[Operator]:
    source, output = operator.input(0), operator.output
    steps, units = source.shape[1], output.shape[2]
    weights, recurrent, biases = (
        [operator.input(position).values for position in positions] for positions in (_WEIGHTS, _RECURRENT, _BIASES)
    )
    count = 0

    def activation(last: int, times: int = 1) -> Tensor:
        nonlocal count
        count += 1
        return Tensor(f"{output.name}/{count}", (1, times, last), _FLOAT)

    def product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Operator:
        inputs = (x, weight) if bias is None else (x, weight, bias)
        return Operator("FULLY_CONNECTED", inputs, (activation(weight.shape[0], x.shape[1]),), FULLY_CONNECTED)

    def binary(op: str, x: Tensor, y: Tensor) -> Operator:
        return Operator(op, (x, y), (activation(x.shape[2]),), SUM if op == "ADD" else PRODUCT)

    def unary(op: str, x: Tensor) -> Operator:
        return Operator(op, (x,), (activation(x.shape[2]),))

    def part(x: Tensor, step: int, first: int, size: int) -> Operator:
        limits = (_integers("begin", 0, step, first), _integers("size", 1, 1, size))
        return Operator("SLICE", (x, *limits), (activation(size),))

    gates = product(source, _floats("gates", weights[:3]), _floats("gate_bias", biases[:3]))
    candidates = product(source, _floats("candidates", weights[3:]), _floats("candidate_bias", biases[3:]))
    yield from (gates, candidates)
    gate_weight, candidate_weight = _floats("recurrent_gates", recurrent[:3]), _floats("recurrent", recurrent[3:])
    state: Tensor | None = None
    cell: Tensor | None = None
    states = []
    for at in range(steps):
        gate, new = part(gates.output, at, 0, 3 * units), part(candidates.output, at, 0, units)
        yield from (gate, new)
        if state is not None:
            inner_gate, inner_new = product(state, gate_weight, None), product(state, candidate_weight, None)
            yield from (inner_gate, inner_new)
            gate, new = binary("ADD", gate.output, inner_gate.output), binary("ADD", new.output, inner_new.output)
            yield from (gate, new)
        opened = unary("LOGISTIC", gate.output)
        entry, exit_, keep = (part(opened.output, 0, index * units, units) for index in range(3))
        squashed = unary("TANH", new.output)
        added = binary("MUL", entry.output, squashed.output)
        yield from (opened, entry, exit_, keep, squashed, added)
        if cell is None:
            cell = added.output
        else:
            kept = binary("MUL", keep.output, cell)
            total = binary("ADD", kept.output, added.output)
            yield from (kept, total)
            cell = total.output
        shown = unary("TANH", cell)
        new_state = binary("MUL", exit_.output, shown.output)
        yield from (shown, new_state)
        state = new_state.output
        states.append(state)
    yield Operator("CONCATENATION", tuple(states), (output,), {"axis": 1, "fused_activation_function": "NONE"})


def _reshape(source: Tensor, output: Tensor) -> Operator:
    return Operator("RESHAPE", (source, _integers("shape", *output.shape)), (output,))


def _floats(name: str, parts: list[np.ndarray]) -> Tensor:
    data = np.ascontiguousarray(np.concatenate(parts), np.float32)
    return Tensor(name, data.shape, _FLOAT, data=data)


def _integers(name: str, *values: int) -> Tensor:
    data = np.array(values, np.int32)
    return Tensor(name, data.shape, data.dtype, data=data)
