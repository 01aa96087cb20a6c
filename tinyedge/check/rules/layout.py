"""Layout of images, and operators that only move data."""

from collections.abc import Iterator

from tinyedge.check.finding import Finding, about
from tinyedge.compiler.graph import Graph, Operator, Tensor
from tinyedge.compiler.reader import Survey

_CONVOLUTIONS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"})
_CHANNELS = (1, 3, 4)
_TO_NHWC, _TO_NCHW = [0, 2, 3, 1], [0, 3, 1, 2]
# So many of a kind are a pattern and no accident; such a share of the activations' traffic is felt.
_MANY = 3
_SHARE = 0.1


def check_layout(survey: Survey) -> Iterator[Finding]:
    """Find channels-first images, and moves that the network could do without."""
    graph = survey.graphs[0]
    for tensor in graph.inputs:
        shape = tensor.shape
        if len(shape) == 4 and shape[1] in _CHANNELS and shape[3] not in _CHANNELS and min(shape[2:]) > shape[1]:
            yield Finding(
                "nchw-input",
                f"input '{tensor.name}' has the shape {list(shape)}, channels first (NCHW), and TFLite's images are "
                f"channels last: convert it to {[shape[0], *shape[2:], shape[1]]}, for example with onnx2tf",
            )
    around = _transposes_around_convolutions(graph)
    if around:
        yield about(
            "nchw-transposes",
            around,
            "change between channels first and channels last beside a convolution, a whole copy each: convert with a "
            "tool that moves the layout through the network (onnx2tf)",
        )
    traffic = sum(_moved_bytes(operator) for operator in graph.operators)
    for op, remedy in (
        ("TRANSPOSE", "keep one layout through the network"),
        ("RESHAPE", "keep images 4-D (TFLite Micro copies each of them, `tinyedge compile` none)"),
        ("PAD", "let the convolution pad (TFLite Micro copies each of them, `tinyedge compile` folds what it can)"),
    ):
        movers = [operator for operator in graph.operators if operator.op == op and operator not in around]
        moved = sum(_moved_bytes(operator) for operator in movers)
        if len(movers) >= _MANY and moved >= _SHARE * traffic:
            yield Finding(
                f"many-{op.lower()}",
                f"{len(movers)} {op} operators move {moved:,} bytes and compute nothing: {remedy}",
                tuple(operator.index for operator in movers),
            )


def _moved_bytes(operator: Operator) -> int:
    return sum(t.bytes for t in (*operator.inputs, *operator.outputs) if t is not None and not t.is_constant)


def _transposes_around_convolutions(graph: Graph) -> list[Operator]:
    convolved = {
        tensor
        for operator in graph.operators
        if operator.op in _CONVOLUTIONS
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
