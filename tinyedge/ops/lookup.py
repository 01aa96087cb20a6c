"""CAST, and GATHER: where a constant is looked up, the pass `fuse_tables` makes a TABLE of them.

By itself a GATHER has a kernel at constant indices.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tinyedge.errors import UnsupportedOpError
from tinyedge.ops.cast import lower_cast
from tinyedge.ops.descriptor import INT8, IntegerLayer, OperatorDescriptor
from tinyedge.ops.gather import gathered, lower_gather
from tinyedge.ops.moves import in_torch
from tinyedge.tflite.graph import Operator

if TYPE_CHECKING:
    import torch


def _cast(operator: Operator, operands: Sequence[np.ndarray]) -> np.ndarray:
    """CAST of int8 codes to int32."""
    if operator.output.dtype != np.int32:
        raise UnsupportedOpError(f"CAST to {operator.output.dtype}")
    return operands[0]


def _gather(operator: Operator, operands: Sequence[np.ndarray]) -> np.ndarray:
    """GATHER from a constant vector."""
    table, options = operator.input(0), operator.options
    indices = operands[1]
    if table.data is None or table.data.ndim != 1 or table.dtype != np.int8:
        raise UnsupportedOpError("GATHER from no constant vector")
    if options.get("axis", 0) != 0 or options.get("batch_dims", 0) != 0 or operator.output.dtype != np.int8:
        raise UnsupportedOpError("GATHER along an axis")
    if indices.min() < 0 or indices.max() >= table.elements:
        raise UnsupportedOpError("GATHER beyond its vector")
    results: np.ndarray = table.data.astype(np.int64)[indices]
    return results


def _integer_cast(operator: Operator) -> IntegerLayer:
    return lambda inputs: inputs[0]


def _integer_gather(operator: Operator) -> IntegerLayer:
    """The reading of a table, whose gradient is the slope between an entry's neighbours, or a move of values."""
    if not operator.input(0).is_constant:
        return _MOVE["integer_layer"](operator)
    import torch

    from tinyedge.ops.arithmetic.integers import straight_through

    table = operator.input(0).values.astype(np.float32)
    values, slopes = torch.from_numpy(table), torch.from_numpy(np.gradient(table))

    def run(inputs: "list[torch.Tensor]") -> "torch.Tensor":
        indices = inputs[0].detach().int()
        return straight_through(values[indices], inputs[0] * slopes[indices])

    return run


_MOVE = in_torch(lower_gather)

OPERATORS = (
    OperatorDescriptor(name="CAST", lower=lower_cast, tflm_types=INT8, codes=_cast, integer_layer=_integer_cast),
    OperatorDescriptor(
        name="GATHER",
        inputs=(2, 2),
        lower=lower_gather,
        versions={"int8": 2},
        tflm_types=INT8,
        keeps_quantisation=True,
        fold=gathered,
        codes=_gather,
        table_input=0,
        float_function=_MOVE["float_function"],
        integer_layer=_integer_gather,
    ),
)
