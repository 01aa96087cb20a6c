"""GRU, LSTM and RNN nodes of ONNX, written out step by step.

No runtime of a microcontroller has a GRU, and the LSTM that they have keeps every gate in scales of its own. Written
out, a recurrent layer is products with constant matrices, sums and tables, all steps with the same weights, which
lie in the model once. What the input contributes is one product for all steps.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinyedge.errors import UnsupportedOpError

if TYPE_CHECKING:
    import onnx

MOST_STEPS = 256
_DEFAULT_ACTIVATIONS = {"GRU": ("sigmoid", "tanh"), "LSTM": ("sigmoid", "tanh", "tanh"), "RNN": ("tanh",)}
_UNSUPPORTED = {"clip": 0.0, "input_forget": 0, "layout": 0}


def unroll(model: "onnx.ModelProto") -> tuple[str, ...]:
    """Write out the recurrent nodes of a model of static shapes and batch 1, in place.

    Returns:
        A sentence for each of them.

    Raises:
        UnsupportedOpError: One is of more steps than `MOST_STEPS`, or of a form that frameworks do not write.
    """
    from onnx import numpy_helper

    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    shapes = {
        value.name: tuple(dimension.dim_value for dimension in value.type.tensor_type.shape.dim)
        for value in (*model.graph.input, *model.graph.value_info)
    }
    nodes: list[onnx.NodeProto] = []
    notes = []
    for node in model.graph.node:
        if node.op_type not in _DEFAULT_ACTIVATIONS:
            nodes.append(node)
            continue
        layer = _Layer(node, constants, shapes[node.input[0]])
        nodes.extend(layer.written_out())
        model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in layer.constants.items())
        notes.append(f"node '{layer.name}' ({node.op_type}) is written out, {layer.steps} steps of {layer.units} units")
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return tuple(notes)


class _Layer:
    """One recurrent node, and the nodes that take its place; all activations are (1, steps, values)."""

    def __init__(self, node: "onnx.NodeProto", constants: dict[str, np.ndarray], shape: tuple[int, ...]) -> None:
        import onnx

        self._node = node
        self.name = node.name or next(output for output in node.output if output)
        self._nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}
        self._attributes = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
        self.steps, batch, self._in = shape
        self.units = int(self._attributes["hidden_size"])
        if batch != 1:
            raise self._refusal(f"has a batch of {batch}", "a batch of 1: export the network so")
        if self.steps > MOST_STEPS:
            raise self._refusal(
                f"has {self.steps} steps", f"at most {MOST_STEPS}, as it is written out: give it shorter sequences"
            )
        self._check_form(constants)
        inputs = [*node.input, *[""] * (8 - len(node.input))]
        weights = [constants.get(name) for name in inputs[1:3]]
        if weights[0] is None or weights[1] is None:
            raise self._refusal("computes its weights", "constant ones")
        self._weights, self._recurrent = weights[0], weights[1]
        bias = constants.get(inputs[3])
        gates = self._weights.shape[1]
        self._bias = np.zeros((len(self._weights), 2 * gates), np.float32) if bias is None else bias
        self._initial = [self._initial_state(name, constants) for name in inputs[5:7]]

    def written_out(self) -> "list[onnx.NodeProto]":
        """Return the nodes that compute what the recurrent node does, under its outputs' names."""
        source = self._add("Transpose", [self._node.input[0]], perm=[1, 0, 2])
        step = {"GRU": self._gru, "LSTM": self._lstm, "RNN": self._rnn}[self._node.op_type]
        directions = [list(step(source, index, reverse)) for index, reverse in enumerate(self._reversed_directions())]
        count = len(directions)
        outputs = [*self._node.output, *[""] * (3 - len(self._node.output))]
        hidden = [[state[0] for state in direction] for direction in directions]
        if outputs[0]:
            rows = [self._joined(parts, 2) for parts in zip(*map(self._by_time, hidden, range(count)), strict=True)]
            self._reshaped(self._joined(rows, 1), [self.steps, count, 1, self.units], outputs[0])
        for position, output in enumerate(outputs[1:]):
            if output:
                last = self._joined([direction[-1][position] for direction in directions], 1)
                self._reshaped(last, [count, 1, self.units], output)
        return self._nodes

    def _gru(self, source: str, index: int, reverse: bool) -> Iterable[tuple[str, ...]]:
        units, bias = self.units, self._bias[index]
        weight_bias, state_bias = bias[: 3 * units], bias[3 * units :]
        reset_after = bool(self._attributes.get("linear_before_reset", 0))
        gates = self._product(source, self._weights[index, : 2 * units], (weight_bias + state_bias)[: 2 * units])
        inner = weight_bias[2 * units :] + (0 if reset_after else state_bias[2 * units :])
        candidates = self._product(source, self._weights[index, 2 * units :], inner)
        update_reset, candidate = self._recurrent[index, : 2 * units], self._recurrent[index, 2 * units :]
        state, one = self._initial[0][index], self._constant(np.ones(1, np.float32))
        for at in self._times(reverse):
            gate, new = self._at(gates, at), self._at(candidates, at)
            if state is not None:
                gate = self._add("Add", [gate, self._product(state, update_reset)])
            update, reset = self._parts(self._add("Sigmoid", [gate]), 2)
            if reset_after:
                inner_bias = state_bias[2 * units :]
                inside = self._constant(inner_bias) if state is None else self._product(state, candidate, inner_bias)
                new = self._add("Add", [new, self._add("Mul", [reset, inside])])
            elif state is not None:
                new = self._add("Add", [new, self._product(self._add("Mul", [reset, state]), candidate)])
            new = self._add("Tanh", [new])
            # Parts of what lies within [-1, 1], and no difference of both: of few samples, its range would be luck.
            part = self._add("Mul", [self._add("Sub", [one, update]), new])
            state = part if state is None else self._add("Add", [part, self._add("Mul", [update, state])])
            yield (state,)

    def _lstm(self, source: str, index: int, reverse: bool) -> Iterable[tuple[str, ...]]:
        units = self.units
        bias = self._bias[index, : 4 * units] + self._bias[index, 4 * units :]
        gates = self._product(source, self._weights[index, : 3 * units], bias[: 3 * units])
        candidates = self._product(source, self._weights[index, 3 * units :], bias[3 * units :])
        gate_weights, candidate_weights = self._recurrent[index, : 3 * units], self._recurrent[index, 3 * units :]
        state, cell = (initial[index] for initial in self._initial)
        for at in self._times(reverse):
            gate, new = self._at(gates, at), self._at(candidates, at)
            if state is not None:
                gate = self._add("Add", [gate, self._product(state, gate_weights)])
                new = self._add("Add", [new, self._product(state, candidate_weights)])
            entry, exit_, keep = self._parts(self._add("Sigmoid", [gate]), 3)
            new = self._add("Mul", [entry, self._add("Tanh", [new])])
            cell = new if cell is None else self._add("Add", [self._add("Mul", [keep, cell]), new])
            state = self._add("Mul", [exit_, self._add("Tanh", [cell])])
            yield state, cell

    def _rnn(self, source: str, index: int, reverse: bool) -> Iterable[tuple[str, ...]]:
        bias = self._bias[index, : self.units] + self._bias[index, self.units :]
        inputs = self._product(source, self._weights[index], bias)
        state = self._initial[0][index]
        for at in self._times(reverse):
            total = self._at(inputs, at)
            if state is not None:
                total = self._add("Add", [total, self._product(state, self._recurrent[index])])
            state = self._add("Tanh", [total])
            yield (state,)

    def _reversed_directions(self) -> list[bool]:
        direction = self._attributes.get("direction", b"forward").decode()
        return {"forward": [False], "reverse": [True]}.get(direction, [False, True])

    def _times(self, reverse: bool) -> Iterable[int]:
        return reversed(range(self.steps)) if reverse else range(self.steps)

    def _by_time(self, states: list[str], index: int) -> list[str]:
        return states[::-1] if self._reversed_directions()[index] else states

    def _check_form(self, constants: dict[str, np.ndarray]) -> None:
        inputs = [*self._node.input, *[""] * (8 - len(self._node.input))]
        wanted = _DEFAULT_ACTIVATIONS[self._node.op_type]
        names = [name.decode().lower() for name in self._attributes.get("activations", [])]
        if names and any(names[at] != wanted[at % len(wanted)] for at in range(len(names))):
            raise self._refusal(f"has the activations {', '.join(names)}", ", ".join(wanted))
        for name, default in _UNSUPPORTED.items():
            if self._attributes.get(name, default) != default:
                raise self._refusal(f"has {name}", "it without")
        if inputs[7]:
            raise self._refusal("has peepholes", "it without")
        lengths = constants.get(inputs[4])
        if inputs[4] and (lengths is None or np.any(lengths != self.steps)):
            raise self._refusal("takes sequences of several lengths", "sequences of one length")

    def _initial_state(self, name: str, constants: dict[str, np.ndarray]) -> list[str | None]:
        """Return the states (1, 1, units) before the first step, one a direction; None for zeros."""
        count = len(self._reversed_directions())
        if not name or (name in constants and not constants[name].any()):
            return [None] * count
        if name in constants:
            return [self._constant(constants[name][index : index + 1]) for index in range(count)]
        return [self._slice(name, 0, index, index + 1) for index in range(count)]

    def _product(self, source: str, weights: np.ndarray, bias: np.ndarray | None = None) -> str:
        """Multiply by weights (out, in)."""
        product = self._add("MatMul", [source, self._constant(weights.T)])
        return product if bias is None else self._add("Add", [product, self._constant(bias)])

    def _at(self, values: str, step: int) -> str:
        return self._slice(values, 1, step, step + 1)

    def _parts(self, values: str, count: int) -> list[str]:
        return [self._slice(values, 2, at * self.units, (at + 1) * self.units) for at in range(count)]

    def _slice(self, values: str, axis: int, start: int, end: int) -> str:
        limits = [self._constant(np.array([number], np.int64)) for number in (start, end, axis)]
        return self._add("Slice", [values, *limits])

    def _joined(self, parts: Sequence[str], axis: int) -> str:
        return parts[0] if len(parts) == 1 else self._add("Concat", list(parts), axis=axis)

    def _reshaped(self, values: str, shape: list[int], output: str) -> None:
        self._add("Reshape", [values, self._constant(np.array(shape, np.int64))], output)

    def _constant(self, value: np.ndarray) -> str:
        """Name a constant; equal ones have one name."""
        value = np.ascontiguousarray(value)
        for name, known in self.constants.items():
            if known.dtype == value.dtype and np.array_equal(known, value):
                return name
        name = f"{self.name}/constant_{len(self.constants)}"
        self.constants[name] = value
        return name

    def _add(self, op: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        import onnx

        name = f"{self.name}/{op}_{len(self._nodes)}"
        output = output or name
        self._nodes.append(onnx.helper.make_node(op, inputs, [output], name=name, **attributes))
        return output

    def _refusal(self, problem: str, wanted: str) -> UnsupportedOpError:
        return UnsupportedOpError(
            f"node '{self.name}' ({self._node.op_type}) {problem}, and quantisation takes {wanted}"
        )
