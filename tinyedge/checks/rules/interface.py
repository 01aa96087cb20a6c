"""Inputs and outputs: how many, their batch, their channels."""

from collections.abc import Iterator

from tinyedge.checks.lint_warning import LintWarning
from tinyedge.tflite.inspection import Inspection


def check_interface(inspection: Inspection) -> Iterator[LintWarning]:
    """Find what the code around the model has to do differently, or cannot do."""
    graph = inspection.graphs[0]
    once = {operator.options.get("init_subgraph_index") for operator in graph.operators if operator.op == "CALL_ONCE"}
    if len(inspection.graphs) > 1 + len(once):
        yield LintWarning(
            "subgraphs",
            f"the model has {len(inspection.graphs)} subgraphs, which IF, WHILE or several signatures make: export one "
            "signature without control flow",
        )
    if inspection.resolved.states:
        yield LintWarning(
            "states",
            "the model keeps states from one inference to the next, as streaming models do and every LSTM of TFLite: "
            "feed it frame after frame, and call its reset where a new recording begins",
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
