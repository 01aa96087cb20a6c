from pathlib import Path

import numpy as np
import pytest
from compiler.tflite_builder import RESOURCE, OperatorSpec, TensorSpec, build_model, constant

from tinyedge.errors import ModelError
from tinyedge.tflite.reader import read_tflite
from tinyedge.tflite.writer import tflite_bytes


def activation(*shape: int, zero_point: int = 3) -> TensorSpec:
    return TensorSpec(shape, 0.1, zero_point)


def handle(name: str, container: str = "") -> tuple[OperatorSpec, TensorSpec]:
    tensor = TensorSpec((), dtype=RESOURCE)
    return OperatorSpec("VAR_HANDLE", [], tensor, {"sharedName": name, "container": container}), tensor


def write(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    return path


def accumulator(initial: np.ndarray | None, calls: bool = True) -> bytes:
    """y = state + x, which is the next state."""
    x, old, y = activation(1, 4), activation(1, 4), activation(1, 4)
    opened, variable = handle("sum")
    operators = [opened, OperatorSpec("READ_VARIABLE", [variable], old), OperatorSpec("ADD", [old, x], y)]
    operators.append(OperatorSpec("ASSIGN_VARIABLE", [variable, y], None))
    if initial is None:
        return build_model(operators, [x], [y])
    opened, variable = handle("sum")
    once = [opened, OperatorSpec("ASSIGN_VARIABLE", [variable, constant(initial, 0.1, 3)], None)]
    if calls:
        operators.insert(0, OperatorSpec("CALL_ONCE", [], None, {"initSubgraphIndex": 1}))
    return build_model(operators, [x], [y], once)


def test_a_variable_becomes_a_state(tmp_path):
    initial = np.array([[1, -2, 3, -4]], np.int8)
    graph = read_tflite(write(tmp_path, accumulator(initial)))
    (state,) = graph.states
    assert graph.histogram() == {"ADD": 1}
    (add,) = graph.operators
    assert (state.name, state.before, state.after) == ("sum", add.inputs[0], add.output)
    np.testing.assert_array_equal(state.initial, initial)
    assert graph.sources == (*graph.inputs, state.before)
    assert graph.results == (*graph.outputs, state.after)


def test_a_copy_of_a_graph_has_states_of_its_own(tmp_path):
    graph = read_tflite(write(tmp_path, accumulator(None)))
    copied = graph.copy()
    assert copied.states[0].before is copied.operators[0].inputs[0]
    assert copied.states[0].before is not graph.states[0].before


def test_a_variable_that_nothing_is_assigned_to_begins_at_zero(tmp_path):
    (state,) = read_tflite(write(tmp_path, accumulator(None))).states
    np.testing.assert_array_equal(state.initial, np.full((1, 4), 3, np.int8))  # The zero point.


def test_a_variable_that_is_read_again_after_its_assignment_holds_what_was_assigned(tmp_path):
    x, old, new, again, y = (activation(1, 4) for _ in range(5))
    opened, variable = handle("sum")
    operators = [
        opened,
        OperatorSpec("READ_VARIABLE", [variable], old),
        OperatorSpec("ADD", [old, x], new),
        OperatorSpec("ASSIGN_VARIABLE", [variable, new], None),
        OperatorSpec("READ_VARIABLE", [variable], again),
        OperatorSpec("ADD", [again, x], y),
    ]
    graph = read_tflite(write(tmp_path, build_model(operators, [x], [y])))
    assert [operator.op for operator in graph.operators] == ["ADD", "RESHAPE", "ADD"]
    assert graph.operators[1].inputs == (graph.operators[0].output,)
    assert graph.states[0].after is graph.operators[0].output


def test_a_container_is_part_of_a_variables_name(tmp_path):
    x, y = activation(1, 4), activation(1, 4)
    reads, operators = [], []
    for container in ("a", "b"):
        opened, variable = handle("same", container)
        reads.append(activation(1, 4))
        operators += [opened, OperatorSpec("READ_VARIABLE", [variable], reads[-1])]
        operators.append(OperatorSpec("ASSIGN_VARIABLE", [variable, x], None))
    operators.append(OperatorSpec("ADD", reads, y))
    graph = read_tflite(write(tmp_path, build_model(operators, [x], [y])))
    assert [state.name for state in graph.states] == ["a/same", "b/same"]


def test_a_variable_tensor_is_changed_in_place(tmp_path):
    x, kept, y = activation(1, 4), TensorSpec((1, 8), 0.1, -7, is_variable=True), activation(1, 4)
    graph = read_tflite(write(tmp_path, build_model([OperatorSpec("SVDF", [x, kept], y)], [x], [y])))
    (state,) = graph.states
    assert state.before is state.after is graph.operators[0].inputs[1]
    np.testing.assert_array_equal(state.initial, np.full((1, 8), -7, np.int8))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            accumulator(np.zeros((1, 4), np.int8), calls=False),
            "has 2 subgraphs, as several signatures make: export one signature",
        ),
        (accumulator(np.zeros((1, 5), np.int8)), "variable '.*' .* no constant of its type and size"),
        (accumulator(np.zeros((1, 2), np.int16)), "variable '.*' .* no constant of its type and size"),
    ],
    ids=["subgraph without a call", "other size", "other type"],
)
def test_what_is_no_state_is_refused(tmp_path, content, message):
    with pytest.raises(ModelError, match=message):
        read_tflite(write(tmp_path, content))


def test_a_call_of_a_subgraph_that_is_not_there_is_refused(tmp_path):
    x, y = activation(1, 4), activation(1, 4)
    operators = [OperatorSpec("CALL_ONCE", [], None, {"initSubgraphIndex": 3}), OperatorSpec("ADD", [x, x], y)]
    with pytest.raises(ModelError, match="calls subgraph 3, which it lacks"):
        read_tflite(write(tmp_path, build_model(operators, [x], [y])))


def test_an_operator_without_an_output_is_refused(tmp_path):
    x, y = activation(1, 4), activation(1, 4)
    operators = [OperatorSpec("ADD", [x, x], y), OperatorSpec("PrintTensor", [y], None)]
    with pytest.raises(ModelError, match=r"operator 1 \(PrintTensor\) .* has no output"):
        read_tflite(write(tmp_path, build_model(operators, [x], [y])))


def test_a_state_that_is_changed_in_place_is_written_as_a_variable(tmp_path):
    x, kept, y = activation(1, 4), TensorSpec((1, 8), 0.1, -7, is_variable=True), activation(1, 4)
    graph = read_tflite(write(tmp_path, build_model([OperatorSpec("SVDF", [x, kept], y)], [x], [y])))
    again = read_tflite(write(tmp_path, tflite_bytes(graph)))
    (state,) = again.states
    assert state.before is again.operators[0].inputs[1]
    np.testing.assert_array_equal(state.initial, graph.states[0].initial)


def test_a_variable_that_is_out_of_the_graph_cannot_be_written(tmp_path):
    graph = read_tflite(write(tmp_path, accumulator(np.zeros((1, 4), np.int8))))
    with pytest.raises(ModelError, match="state 'sum' of model cannot be written"):
        tflite_bytes(graph)
