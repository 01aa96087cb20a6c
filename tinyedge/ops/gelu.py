"""GELU, which TFLite Micro lacks (tflite-micro issue 3218), as a lookup of operators that it has.

Hendrycks and Gimpel, "Gaussian Error Linear Units" (2016): x times the probability that a standard normal value is
below x, exactly, or with the hyperbolic tangent of section 2. LiteRT's int8 kernel, the reference here, evaluates it in
floats for each code and rounds the result once, so its 256 results are as good as int8 allows. The usual replacement,
`x * LOGISTIC(1.702 x)`, is off by up to 0.02 before anything is rounded.

In a file for TFLite Micro a GATHER reads these results. Its indices are int32, so that a CAST and an ADD bring the
codes -128 ... 127 to 0 ... 255. The compiler fuses the three into one table again.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from tinyedge.ops.descriptor import OperatorDescriptor, TorchForm
from tinyedge.ops.kernel_call import KernelCall
from tinyedge.ops.rules import int8_activation, int8_output
from tinyedge.ops.table import codes_of, float_codes, lookup
from tinyedge.tflite.graph import Operator, Quantisation, Tensor

if TYPE_CHECKING:
    import torch

_INT32 = np.dtype(np.int32)


def _lower(operator: Operator) -> KernelCall:
    """Lower GELU, by the error function or by the hyperbolic tangent."""
    source, output = int8_activation(operator), int8_output(operator)
    return lookup(operator, _codes(operator, source.q, output.q))


def _codes(operator: Operator, source: Quantisation, output: Quantisation) -> np.ndarray:
    """The codes (256,) int8 of GELU for the codes -128 ... 127."""
    function = _by_tanh if operator.options.get("approximate", False) else _by_error_function
    return float_codes(operator, source, output, function)


def _by_error_function(x: float) -> float:
    return 0.5 * x * math.erfc(-x / math.sqrt(2))


def _by_tanh(x: float) -> float:
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _lookup(operator: Operator, int8_tensors: Mapping[Tensor, Tensor]) -> list[Operator]:
    """The operators that look a float graph's GELU up.

    Args:
        operator: The GELU.
        int8_tensors: Those that its input and its output become.
    """
    source, output = int8_tensors[operator.input(0)], int8_tensors[operator.output]
    codes = _codes(operator, source.q, output.q)
    return table_lookup(dataclasses.replace(operator, inputs=(source,), outputs=(output,)), codes)


def table_lookup(operator: Operator, codes: np.ndarray) -> list[Operator]:
    """The operators of TFLite Micro that look the results of a function of one int8 value up.

    Args:
        operator: The function.
        codes: (256,) int8, of the codes -128 ... 127.
    """
    source, output = operator.input(0), operator.output
    table = Tensor(f"{output.name}/table", codes.shape, codes.dtype, output.quantisation, codes)
    lowest = Tensor("128", (1,), _INT32, data=np.array([128], np.int32))
    wide, indices = (Tensor(f"{output.name}/{name}", output.shape, _INT32) for name in ("codes", "indices"))
    types = {"in_data_type": "INT8", "out_data_type": "INT32"}
    return [
        Operator("CAST", (source,), (wide,), types, version=1, index=operator.index),
        Operator("ADD", (wide, lowest), (indices,), {"fused_activation_function": "NONE"}, 1, operator.index),
        Operator("GATHER", (table, indices), (output,), {"axis": 0, "batch_dims": 0}, 2, operator.index),
    ]


def _float(operator: Operator, x: "torch.Tensor") -> "torch.Tensor":
    import torch.nn.functional as F

    return F.gelu(x, approximate="tanh" if operator.options.get("approximate", False) else "none")


OPERATORS = (
    OperatorDescriptor(
        name="GELU",
        lower=_lower,
        expand=_lookup,
        codes=codes_of(_lower),
        torch=TorchForm(("torch.nn.functional.gelu",), options={"approximate": False}),
        is_function=True,
        float_function=_float,
    ),
)
