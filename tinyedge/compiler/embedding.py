"""What a classifier knows before it decides: the tensor that its last fully connected layer reads."""

import numpy as np

from tinyedge.errors import ModelError
from tinyedge.tflite.graph import Graph, Tensor

# What may stand between the classifier's last layer and the model's output.
_AFTER_CLASSIFIER = frozenset({"SOFTMAX", "LOGISTIC", "RESHAPE"})


def find_embedding(graph: Graph) -> Tensor:
    """Return a model's embedding.

    It is the input of the FULLY_CONNECTED from which the output comes, through nothing but SOFTMAX, LOGISTIC
    and RESHAPE. A model that does not end so is an encoder, whose output is the embedding already.

    Args:
        graph: As read.

    Raises:
        ModelError: The model has several outputs, or its embedding is not int8.
    """
    if len(graph.outputs) != 1:
        raise ModelError(f"{graph.name} has {len(graph.outputs)} outputs: give an encoder or a classifier with one")
    writers = {operator.output: operator for operator in graph.operators if len(operator.outputs) == 1}
    (output,) = graph.outputs
    embedding, writer = output, writers.get(output)
    while writer is not None and writer.op in _AFTER_CLASSIFIER:
        writer = writers.get(writer.input(0))
    if writer is not None and writer.op == "FULLY_CONNECTED":
        embedding = writer.input(0) if writer.input(0) in writers else output
    if embedding.dtype != np.int8:
        raise ModelError(
            f"the embedding '{embedding.name}' of {graph.name} is {embedding.dtype} and classes are learned from int8: "
            "export with --precision int8"
        )
    return embedding


def cut_at_embedding(graph: Graph) -> Tensor:
    """Make a model's embedding its output; what computed classes of it is then dead.

    Args:
        graph: As read; its outputs are changed.

    Returns:
        The embedding.

    Raises:
        ModelError: As `find_embedding`.
    """
    embedding = find_embedding(graph)
    graph.outputs = (embedding,)
    return embedding
