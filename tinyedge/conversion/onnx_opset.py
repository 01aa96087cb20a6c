"""Networks of old opsets in one of today: the same operators, with what has become an attribute or an input."""

from pathlib import Path
from typing import TYPE_CHECKING

from tinyedge.errors import UnsupportedOpError

if TYPE_CHECKING:
    import onnx

OPSETS = range(7, 24)
"""Those that are read."""
_FIRST_WITHOUT_CONVERSION = 11


def opset_of(model: "onnx.ModelProto") -> int:
    """Return the version of ONNX's own operators in a model; 0 where it names none."""
    return next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)


def in_newer_opset(model: "onnx.ModelProto", path: Path) -> "onnx.ModelProto":
    """Return a model in opset 11 where it is older, else the model itself.

    Args:
        model: Of one of `OPSETS`; it is not changed.
        path: Where it came from, for messages.

    Raises:
        UnsupportedOpError: An operator of it has no form in opset 11.
    """
    if opset_of(model) >= _FIRST_WITHOUT_CONVERSION:
        return model
    import onnx.version_converter

    try:
        converted = onnx.version_converter.convert_version(model, _FIRST_WITHOUT_CONVERSION)
    except (RuntimeError, ValueError) as error:
        raise UnsupportedOpError(
            f"{path} is of opset {opset_of(model)}, and not all of its operators can be brought to opset "
            f"{_FIRST_WITHOUT_CONVERSION} ({' '.join(str(error).split())[:200]}): export it with opset_version=17"
        ) from error
    for node in converted.graph.node:
        if node.op_type == "Resize":  # The converter (1.23.2) leaves out what its older form was by definition.
            for name, value in (("coordinate_transformation_mode", "asymmetric"), ("nearest_mode", "floor")):
                node.attribute.append(onnx.helper.make_attribute(name, value))
    return converted
