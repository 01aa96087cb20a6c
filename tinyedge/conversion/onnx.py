"""The folded network as ONNX: batch 1, opset 20, nothing in the file but the graph and its weights."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from tinyedge.conversion.fold import Deployable

OPSET = 20  # The first with Gelu.
INPUT_NAME = "image"


def export_onnx(network: Deployable, input_size: int, output_name: str, path: Path, channels: int = 3) -> None:
    """Write a folded network as ONNX.

    Args:
        network: Folded, in evaluation mode.
        input_size: H = W of the images.
        output_name: "logits" or "feature".
        path: The file; its input is (1, C, H, W) float32, normalised.
        channels: C.
    """
    import onnx

    example = torch.zeros(1, channels, input_size, input_size)
    with quiet_exporter():
        torch.onnx.export(
            network,
            (example,),
            str(path),
            opset_version=OPSET,
            dynamo=False,
            input_names=[INPUT_NAME],
            output_names=[output_name],
            external_data=False,
            verbose=False,
        )
    model = onnx.load(str(path))
    _inline_constants(model.graph)
    _strip_metadata(model)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Keep what PyTorch's exporter says of itself from the terminal."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _inline_constants(graph: "onnx.GraphProto") -> None:  # type: ignore[name-defined]  # noqa: F821
    """Make every constant an initializer that its readers name, where the exporter wrote Constant and Identity."""
    initializers = {tensor.name: tensor for tensor in graph.initializer}
    kept = []
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            value = node.attribute[0].t
        elif node.op_type == "Identity" and node.input[0] in initializers:
            value = initializers[node.input[0]]
        else:
            kept.append(node)
            continue
        constant = graph.initializer.add()
        constant.CopyFrom(value)
        constant.name = node.output[0]
        initializers[constant.name] = constant
    del graph.node[:]
    graph.node.extend(kept)


def _strip_metadata(model: "onnx.ModelProto") -> None:  # type: ignore[name-defined]  # noqa: F821
    """Remove what the exporter notes about the Python source; it holds paths of the machine that exported."""
    del model.metadata_props[:]
    graph = model.graph
    graph.doc_string = ""
    del graph.metadata_props[:]
    for node in graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in (*graph.value_info, *graph.input, *graph.output, *graph.initializer):
        value.doc_string = ""
        del value.metadata_props[:]
