"""Layout of images."""

from collections.abc import Iterator

from tinyedge.checks.lint_warning import LintWarning, about
from tinyedge.ops import descriptor_of
from tinyedge.tflite.graph import Graph, Operator, Tensor
from tinyedge.tflite.inspection import Inspection

_IMAGE_FILTERS_RANK = 4
_CHANNELS = (1, 3, 4)
_TO_NHWC, _TO_NCHW = [0, 2, 3, 1], [0, 3, 1, 2]


def check_layout(inspection: Inspection) -> Iterator[LintWarning]:
    """Find channels-first images, and what is left of them inside."""
    graph = inspection.graphs[0]
    for tensor in graph.inputs:
        shape = tensor.shape
        if len(shape) == 4 and shape[1] in _CHANNELS and shape[3] not in _CHANNELS and min(shape[2:]) > shape[1]:
            yield LintWarning(
                "nchw-input",
                f"input '{tensor.name}' has the shape {list(shape)}, channels first (NCHW), and TFLite's images are "
                f"channels last: convert it to {[shape[0], *shape[2:], shape[1]]}, for example with onnx2tf",
            )
    around = transposes_around_convolutions(graph)
    if around:
        yield about(
            "nchw-transposes",
            around,
            "changes between channels first and channels last beside a convolution, a copy of the image each",
            "convert with a tool that moves the layout through the network (onnx2tf)",
        )


def transposes_around_convolutions(graph: Graph) -> list[Operator]:
    """Return the TRANSPOSEs between channels first and channels last beside a convolution."""
    convolved = {
        tensor
        for operator in graph.operators
        if (layout := descriptor_of(operator).weights) is not None and layout.rank == _IMAGE_FILTERS_RANK
        for tensor in (*operator.inputs, *operator.outputs)
        if tensor is not None and not tensor.is_constant
    }
    return [
        operator
        for operator in graph.operators
        if operator.op == "TRANSPOSE"
        and _permutation(operator) in (_TO_NHWC, _TO_NCHW)
        and any(_is_image(tensor) and tensor in convolved for tensor in (operator.inputs[0], *operator.outputs))
    ]


def _is_image(tensor: Tensor | None) -> bool:
    """Whether a change of layout moves anything in it."""
    return tensor is not None and sum(size > 1 for size in tensor.shape[1:]) > 1


def _permutation(operator: Operator) -> list[int]:
    axes = operator.inputs[1] if len(operator.inputs) > 1 else None
    return [] if axes is None or axes.data is None or axes.dtype.kind != "i" else axes.data.reshape(-1).tolist()
