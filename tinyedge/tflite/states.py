"""What a model keeps from one inference to the next, taken out of its operators.

A streaming model has variables: VAR_HANDLE names one, READ_VARIABLE and ASSIGN_VARIABLE move its value, and a subgraph
that CALL_ONCE runs before the first inference assigns what they hold then. In the graph a variable becomes a `State`: a
tensor as an inference finds it and one as it leaves it. LSTM and SVDF change tensors in place that the file calls
variable; such a state is one tensor.
"""

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tinyedge.tflite.graph import Graph, Operator, State, Tensor
from tinyedge.tflite.parser import Refuse

_HANDLE, _READ, _ASSIGN, _CALL_ONCE = "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE"
STATE_OPERATORS = frozenset({_HANDLE, _READ, _ASSIGN, _CALL_ONCE})
"""Those that a graph with states no longer has."""
CONTROL_FLOW = frozenset({"CALL", "IF", "WHILE", "STABLEHLO_CASE", "STABLEHLO_WHILE"})
"""Those that run other subgraphs, as often as values say."""


def with_states(
    graph: Graph, further: Sequence[Graph], variables: Collection[Tensor], path: Path, refuse: Refuse
) -> Graph:
    """Return a graph whose operators know no variables, with the states that they stand for.

    Args:
        graph: The subgraph that runs.
        further: The model's other subgraphs, of which CALL_ONCE may run some.
        variables: The tensors that operators change in place.
        path: Of the file, for messages.
        refuse: Told of each thing that tinyedge does not take.
    """
    for tensor in graph.inputs:
        if tensor in variables:
            refuse(f"tensor '{tensor.name}' of {path}, an input of the model, keeps its value: export the model again")
    resolver = _Resolver(path, refuse)
    initial = _Resolver(path, refuse)
    called = set()
    for operator in graph.operators:
        if operator.op == _CALL_ONCE:
            index = int(operator.options.get("init_subgraph_index", 0))
            called.add(index)
            if 1 <= index <= len(further):
                initial.run(further[index - 1].operators)
            else:
                refuse(
                    f"operator {operator.index} ({_CALL_ONCE}) of {path} calls subgraph {index}, which it lacks",
                    operator.index,
                )
    if len(called) < len(further):
        branches = [operator for operator in graph.operators if operator.op in CONTROL_FLOW]
        for operator in branches:
            refuse(
                f"operator {operator.index} ({operator.op}) of {path} branches into other subgraphs: export the model "
                "without control flow",
                operator.index,
            )
        if not branches:
            refuse(f"{path} has {len(further) + 1} subgraphs, as several signatures make: export one signature")
    operators = resolver.run(graph.operators)
    states = [
        State(name, before, resolver.value_of[name], _initial(before, initial.value_of.get(name), path, refuse))
        for name, before in resolver.before.items()
    ]
    states += [
        State(tensor.name, tensor, tensor, _initial(tensor, None, path, refuse))
        for tensor in dict.fromkeys(
            tensor for operator in operators for tensor in operator.inputs if tensor in variables
        )
        if tensor is not None
    ]
    return dataclasses.replace(graph, operators=operators, states=tuple(states))


@dataclass
class _Resolver:
    """The variables of operators in their order.

    Attributes:
        before: What each variable that was read before it was assigned held at first, by its name.
        value_of: What each variable holds now.
    """

    path: Path
    refuse: Refuse
    before: dict[str, Tensor] = field(default_factory=dict)
    value_of: dict[str, Tensor] = field(default_factory=dict)

    def run(self, operators: Sequence[Operator]) -> list[Operator]:
        """Return the operators that are left."""
        names: dict[Tensor, str] = {}
        kept = []
        for operator in operators:
            inputs = operator.inputs
            if operator.op == _HANDLE and len(operator.outputs) == 1:
                names[operator.outputs[0]] = _variable_name(operator)
            elif operator.op == _READ and len(operator.outputs) == 1 and inputs and inputs[0] in names:
                kept += self._read(names[inputs[0]], operator)
            elif operator.op == _ASSIGN and len(inputs) == 2 and inputs[0] in names and inputs[1] is not None:
                self.value_of[names[inputs[0]]] = inputs[1]
            elif operator.op != _CALL_ONCE:
                if not operator.outputs or operator.op in STATE_OPERATORS:
                    self.refuse(
                        f"operator {operator.index} ({operator.op}) of {self.path} has no output and assigns no "
                        "variable: tinyedge cannot tell what it does",
                        operator.index,
                    )
                kept.append(operator)
        return kept

    def _read(self, name: str, operator: Operator) -> list[Operator]:
        """What is left of a READ_VARIABLE: nothing of the first, else a RESHAPE of the value."""
        output = operator.output
        if name not in self.value_of:
            self.before[name] = self.value_of[name] = output
            return []
        value = self.value_of[name]
        if value.dtype != output.dtype or value.elements != output.elements:
            self.refuse(
                f"variable '{name}' of {self.path} holds {value.elements} {value.dtype} values and is read as "
                f"{output.elements} {output.dtype}: export the model again",
                operator.index,
            )
        return [Operator("RESHAPE", (value,), (output,), index=operator.index)]


def _variable_name(operator: Operator) -> str:
    container, shared = (operator.options.get(key) or b"" for key in ("container", "shared_name"))
    return b"/".join(part for part in (container, shared) if part).decode("utf-8", errors="replace")


def _initial(before: Tensor, assigned: Tensor | None, path: Path, refuse: Refuse) -> np.ndarray:
    """What a state holds before the first inference: what was assigned, else real zeros as TFLite Micro has them."""
    zero = 0 if before.quantisation is None or before.dtype != np.int8 else before.quantisation.zero_point
    zeros = np.full(before.shape, zero, before.dtype if before.dtype.kind in "iufb" else np.int8)
    if assigned is None:
        return zeros
    if assigned.data is None or assigned.dtype != before.dtype or assigned.elements != before.elements:
        refuse(
            f"variable '{before.name}' of {path} holds at first what is no constant of its type and size: tinyedge "
            "takes states that begin with constants"
        )
        return zeros
    return assigned.data.reshape(before.shape)
