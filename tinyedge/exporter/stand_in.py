"""GELU on its way through onnx2tf and TensorFlow.

Both spell out its error function, for which TFLite has no operator of its own (FlexErf). LiteRT does have a GELU. So a
TANH, which no deployable network has, goes through the converters in its place, and the file gets the GELU back.
"""

import copy
import dataclasses
import tempfile
from pathlib import Path

import numpy as np
from torch import nn

from tinyedge.exporter.converter import Converter
from tinyedge.exporter.fold import Deployable
from tinyedge.exporter.onnx import export_onnx
from tinyedge.tflite.graph import Operator
from tinyedge.tflite.reader import read_any_tflite
from tinyedge.tflite.writer import tflite_bytes

_OPTIONS = {"approximate": False}


def has_gelu(network: nn.Module) -> bool:
    """Return whether a network has a GELU."""
    return any(isinstance(module, nn.GELU) for module in network.modules())


def convert_with_gelu(
    converter: Converter, network: Deployable, input_size: int, output_name: str, samples: np.ndarray, out: Path
) -> None:
    """Convert a network whose GELUs ONNX would spell out to float TFLite.

    Args:
        converter: What converts it.
        network: Folded, in evaluation mode.
        input_size: H = W of the images.
        output_name: "logits" or "feature".
        samples: (n, H, W, 3) float32, normalised: images for the converter to try the network on.
        out: The file to write.

    Raises:
        ModelError: The converter gave up.
    """
    with tempfile.TemporaryDirectory(prefix="tinyedge-export-") as name:
        onnx, converted = Path(name) / "model.onnx", Path(name) / out.name
        export_onnx(_with_stand_ins(network), input_size, output_name, onnx)
        converter.convert(onnx, samples, converted)
        graph = read_any_tflite(converted)
    graph.operators[:] = [_original(operator) for operator in graph.operators]
    out.write_bytes(tflite_bytes(graph))


def _with_stand_ins(network: Deployable) -> Deployable:
    network = copy.deepcopy(network)
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.GELU):
                setattr(module, name, nn.Tanh())
    return network


def _original(operator: Operator) -> Operator:
    return dataclasses.replace(operator, op="GELU", options=_OPTIONS) if operator.op == "TANH" else operator
