"""What LiteRT's default kernels compute otherwise than the model says."""

from collections.abc import Iterator

import numpy as np

from tinyedge.checks.lint_warning import LintWarning, about
from tinyedge.tflite.graph import Operator, Tensor
from tinyedge.tflite.inspection import Inspection

# Which operands XNNPACK takes for symmetric.
_OPERANDS = {"BATCH_MATMUL": (0, 1), "FULLY_CONNECTED": (1,)}


def check_litert(inspection: Inspection) -> Iterator[LintWarning]:
    """Find operands whose zero points LiteRT's default kernels ignore."""
    found = [operator for operator in inspection.graphs[0].operators if _has_shifted_operand(operator)]
    if found:
        yield about(
            "litert-zero-points",
            found,
            "LiteRT's default kernels (XNNPACK, seen in 2.1.0 to 2.1.2 and in TensorFlow 2.21.0) ignore the zero point "
            "of an operand",
            "where you run the model with LiteRT take experimental_op_resolver_type=OpResolverType.BUILTIN_REF, as "
            "`tinyedge bench --runtime litert` does; TFLite Micro and tinyedge compute it right",
        )


def _has_shifted_operand(operator: Operator) -> bool:
    operands = (operator.optional_input(position) for position in _OPERANDS.get(operator.op, ()))
    return any(operand is not None and _is_shifted(operand) for operand in operands)


def _is_shifted(operand: Tensor) -> bool:
    return (
        operand.dtype == np.int8 and operand.quantisation is not None and bool(operand.quantisation.zero_points.any())
    )
