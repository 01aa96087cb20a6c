"""A model as learning on the device needs it: with its embedding as the output."""

from pathlib import Path

from tinyedge.compiler.embedding import cut_at_embedding
from tinyedge.errors import ModelError
from tinyedge.manifest.manifest import MANIFEST_FILE, read_manifest
from tinyedge.tflite.graph import Graph
from tinyedge.tflite.reader import read_tflite


def read_embedding(model: Path) -> Graph:
    """Read a model and cut it at its embedding.

    Args:
        model: A full-INT8 .tflite file. Where its export.json lies beside it, that says whether it is a classifier.

    Raises:
        ModelError: It cannot be read; or it is a classifier that has no embedding, because its classifier is part of
            convolutions.
    """
    graph = read_tflite(model)
    (output, *_) = graph.outputs
    embedding = cut_at_embedding(graph)
    if embedding is output and (model.parent / MANIFEST_FILE).is_file() and read_manifest(model.parent).classes:
        raise ModelError(
            f"{model} holds no embedding, for its classifier is folded into convolutions: export the encoder alone "
            "with `tinyedge export RUN --encoder-only`"
        )
    return graph
