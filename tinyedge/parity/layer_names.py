"""Names that mean something for the operators of a converted graph: `stage3.2 mixer query`.

The converter names tensors after its own functions, `model_48/tf.math.add_32/Add`. What survives every stage is the
weights: an operator whose weights are those of a module has that module's path. Operators without weights have the name
of the block that they work in.
"""

import re

import numpy as np
import torch
from torch import nn

from tinyedge.ops import descriptor_of
from tinyedge.tflite.graph import Graph, Operator, Tensor

_PREPARING = frozenset({"MEAN", "PAD", "RESHAPE", "TRANSPOSE"})
"""Operators that belong to the layer that reads them, where that has weights."""


def match_layers(graph: Graph, network: nn.Module) -> dict[int, str]:
    """Find the module that each operator with weights came from.

    Args:
        graph: Float, converted from the network.
        network: Its `nn.Conv2d` and `nn.Linear` modules are the layers.

    Returns:
        Paths of modules by position of the operator. What has no equal on the other side is left out; of equal layers
        the first comes first.
    """
    paths: dict[bytes, list[str]] = {}
    for path, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            paths.setdefault(_tflite_layout(module).tobytes(), []).append(path)
    found = {}
    for position, operator in enumerate(graph.operators):
        weight = operator.input(1) if descriptor_of(operator).weights is not None else None
        if weight is not None and weight.data is not None and (same := paths.get(weight.data.tobytes())):
            found[position] = same.pop(0)
    return found


def name_layers(graph: Graph, network: nn.Module) -> tuple[str, ...]:
    """Return a name for each operator, in order; "" where there is none.

    Args:
        graph: Float, converted from the network.
        network: Folded; the paths of its modules are what the names are made of.
    """
    matched = match_layers(graph, network)
    names = {position: layer_name(path) for position, path in matched.items()}
    positions = {operator.output: position for position, operator in enumerate(graph.operators)}
    readers = {
        tensor: [positions[reader.output] for reader in found]
        for tensor, found in graph.readers().items()
        if tensor in positions
    }
    latest: dict[Tensor, int] = {}  # The last named operator that each tensor depends on.
    for position, operator in enumerate(graph.operators):
        before = _latest(operator, latest)
        if position in matched:
            latest[operator.output] = position
            continue
        if before is not None:
            latest[operator.output] = before
        source = before
        if operator.op in _PREPARING:
            source = next((reader for reader in readers.get(operator.output, ()) if reader in matched), before)
        if source is not None:
            names[position] = _block(names[source])
    return tuple(names.get(position, "") for position in range(len(graph.operators)))


def _latest(operator: Operator, latest: dict[Tensor, int]) -> int | None:
    return max((latest[tensor] for tensor in operator.inputs if tensor in latest), default=None)


def _tflite_layout(module: nn.Conv2d | nn.Linear) -> np.ndarray:
    """Return a layer's weights as TFLite holds them, float32."""
    weight: torch.Tensor = module.weight.detach()
    if isinstance(module, nn.Conv2d):
        # Depthwise (C, 1, kh, kw) -> (1, kh, kw, C), else (O, I, kh, kw) -> (O, kh, kw, I).
        depthwise = module.groups > 1
        weight = weight.permute(1, 2, 3, 0) if depthwise else weight.permute(0, 2, 3, 1)
    return np.ascontiguousarray(weight.float().numpy())


def layer_name(path: str) -> str:
    """Return what a reader is told of a module: `stage3.2 mixer query` for `body.stage3_2.mixer.body.query`."""
    words = [word for word in path.split(".") if word != "body" and not word.isdigit()]
    return " ".join(re.sub(r"_(\d+)$", r".\1", word) for word in words)


def _block(name: str) -> str:
    """Return the name of the block that a layer is part of."""
    return name.rpartition(" ")[0] or name
