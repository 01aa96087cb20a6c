"""Networks of old opsets in one of today: the same operators, with what has become an attribute or an input."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tinyedge.errors import UnsupportedOpError

if TYPE_CHECKING:
    import onnx

OPSETS = range(7, 24)
"""Those that are read."""
OLDEST_TAKEN_AS_IT_IS = 11
_INDICES = 1024  # Maps for microcontrollers are narrower.


def opset_of(model: "onnx.ModelProto") -> int:
    """Return the version of ONNX's own operators in a model; 0 where it names none."""
    return next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)


def in_newer_opset(model: "onnx.ModelProto", path: Path) -> "onnx.ModelProto":
    """Return a model in opset 11.

    Args:
        model: Older, but of one of `OPSETS`; its constants are folded, and it is not changed.
        path: Where it came from, for messages.

    Raises:
        UnsupportedOpError: An operator of it has no form in opset 11 that computes the same.
    """
    import onnx.version_converter

    try:
        converted = onnx.version_converter.convert_version(model, OLDEST_TAKEN_AS_IT_IS)
    except (RuntimeError, ValueError) as error:
        raise UnsupportedOpError(
            f"{path} is of opset {opset_of(model)}, and not all of its operators can be brought to opset "
            f"{OLDEST_TAKEN_AS_IT_IS} ({' '.join(str(error).split())[:200]}): export it with opset_version=17"
        ) from error
    constants = {tensor.name: tensor for tensor in converted.graph.initializer}
    constants |= {node.output[0]: node.attribute[0].t for node in converted.graph.node if node.op_type == "Constant"}
    for node in converted.graph.node:
        if node.op_type == "Resize" and node.input[2] in constants:  # Or its shape depends on values.
            scales = onnx.numpy_helper.to_array(constants[node.input[2]])
            _choose_pixels(node, scales, path)
        elif node.op_type == "Pad":  # The converter leaves a value, which is an input now, where the mode reads none.
            kept = [entry for entry in node.attribute if entry.name != "value"]
            del node.attribute[:]
            node.attribute.extend(kept)
    return converted


def _choose_pixels(node: "onnx.NodeProto", scales: np.ndarray, path: Path) -> None:
    """Say in a Resize what its older form was by definition, and the converter (1.23.2) leaves out.

    The nearest pixel is the one below the index over the scale; in ONNX Runtime the one above along an axis that
    becomes smaller.
    """
    import onnx

    smaller = scales[scales < 1]
    above = bool((np.arange(_INDICES, dtype=np.float32)[:, None] / smaller % 1).any())
    if above and (scales > 1).any() and not any(entry.s == b"linear" for entry in node.attribute):
        raise UnsupportedOpError(
            f"node '{node.name or node.output[0]}' (Resize) of {path} makes a map larger along one axis and smaller "
            "along another, which no later opset does with the same pixels: resize twice"
        )
    nearest = "ceil" if above else "floor"
    for name, value in (("coordinate_transformation_mode", "asymmetric"), ("nearest_mode", nearest)):
        node.attribute.append(onnx.helper.make_attribute(name, value))
