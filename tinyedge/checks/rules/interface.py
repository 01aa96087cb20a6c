"""Inputs and outputs: how many, their batch, their channels."""

from collections.abc import Iterator

from tinyedge.checks.lint_warning import LintWarning, about
from tinyedge.tflite.graph import Graph
from tinyedge.tflite.inspection import Inspection
from tinyedge.tflite.states import CONTROL_FLOW, STATE_OPERATORS

_KEEP_THEIR_OWN = {
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "the states of its LSTMs",
    "SVDF": "the activations of its SVDF layers",
}


def check_interface(inspection: Inspection) -> Iterator[LintWarning]:
    """Find what the code around the model has to do differently, or cannot do."""
    graph = inspection.graphs[0]
    once = {operator.options.get("init_subgraph_index") for operator in graph.operators if operator.op == "CALL_ONCE"}
    if len(inspection.graphs) > 1 + len(once):
        branches = [operator for operator in graph.operators if operator.op in CONTROL_FLOW]
        if branches:
            problem = f"the model has {len(inspection.graphs)} subgraphs, between which it branches"
            yield about("subgraphs", branches, problem, "export the network without control flow")
        else:
            yield LintWarning(
                "subgraphs",
                f"the model has {len(inspection.graphs)} subgraphs, as several signatures make, and the first is run: "
                "export one signature",
            )
    if inspection.resolved.states:
        yield LintWarning(
            "states",
            f"the model keeps {_kind_of_states(graph)} from one inference to the next: feed it frame after frame, and "
            "call its reset where a new recording begins",
        )
    for tensor in graph.inputs:
        signature = list(inspection.signatures.get(tensor, tensor.shape))
        if signature[:1] == [-1]:
            yield LintWarning(
                "dynamic-batch",
                f"input '{tensor.name}' has a dynamic batch {signature}, which the firmware runs as 1: export it with "
                f"the shape {[1, *signature[1:]]}",
            )
        elif tensor.shape and tensor.shape[0] != 1:
            yield LintWarning(
                "batch",
                f"input '{tensor.name}' has a batch of {tensor.shape[0]} {list(tensor.shape)}: export it with a batch "
                "of 1, for a microcontroller sees one input at a time",
            )
        if any(size < 0 for size in signature[1:]):
            yield LintWarning(
                "dynamic-shape",
                f"input '{tensor.name}' has sizes that are known at run time only {signature}: export it with a fixed "
                "shape, for a microcontroller plans its memory beforehand",
            )
        if len(tensor.shape) == 4 and tensor.shape[3] == 1:
            yield LintWarning(
                "greyscale",
                f"input '{tensor.name}' has 1 channel {list(tensor.shape)}: give it greyscale images (or a "
                "spectrogram) prepared as in training, not the camera's colours",
            )


def _kind_of_states(graph: Graph) -> str:
    """Name what a graph keeps."""
    ops = graph.histogram()
    kinds = [kind for op, kind in _KEEP_THEIR_OWN.items() if op in ops]
    if STATE_OPERATORS & {*ops} or not kinds:
        kinds.append("variables, as streaming models do,")
    return " and ".join(kinds)
