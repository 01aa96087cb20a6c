"""SPACE_TO_BATCH_ND, as TensorFlow writes dilated convolutions."""

from collections.abc import Iterator

from tinyedge.checks.lint_warning import LintWarning, about
from tinyedge.tflite.graph import Operator
from tinyedge.tflite.inspection import Inspection


def check_blocks(inspection: Inspection) -> Iterator[LintWarning]:
    """Find paddings that TFLite Micro fills with what lay in memory."""
    padding = [operator for operator in inspection.graphs[0].operators if _pads(operator)]
    if padding:
        yield about(
            "padded-blocks",
            padding,
            "pads a dilated convolution with the zero point; TFLite Micro takes memory that nobody wrote instead "
            "(tensorflow/tflite-micro#1646), so its results differ from LiteRT's and from one run to the next",
            "run the model ahead of time, where both operators become the convolution's dilation",
        )


def _pads(operator: Operator) -> bool:
    paddings = operator.inputs[2] if len(operator.inputs) > 2 else None
    return (
        operator.op == "SPACE_TO_BATCH_ND"
        and paddings is not None
        and paddings.data is not None
        and bool(paddings.data.any())
    )
