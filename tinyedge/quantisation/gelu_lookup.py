"""GELU in INT8 of operators that TFLite Micro has: the table of its 256 results, and a GATHER that reads it.

TFLite Micro has no GELU (tflite-micro issue 3218). The usual replacement, `x * LOGISTIC(1.702 x)`, is off by up to 0.02
before anything is rounded. A table rounds the exact function once, which no chain of rounded operators can better. The
indices of a GATHER are int32, so that a CAST and an ADD bring the codes -128 ... 127 to 0 ... 255. The compiler fuses
the three into one table lookup again.
"""

from collections.abc import Mapping

import numpy as np

from tinyedge.ops.gelu_codes import gelu_codes
from tinyedge.tflite.graph import Operator, Tensor

_INT32 = np.dtype(np.int32)


def gelu_lookup(operator: Operator, int8_tensors: Mapping[Tensor, Tensor]) -> list[Operator]:
    """Return the operators that look a float graph's GELU up.

    Args:
        operator: The GELU.
        int8_tensors: Of its input and of its output.
    """
    assert operator.inputs[0] is not None
    source, output = int8_tensors[operator.inputs[0]], int8_tensors[operator.output]
    assert source.quantisation is not None
    assert output.quantisation is not None
    codes = gelu_codes(source.quantisation, output.quantisation, bool(operator.options.get("approximate", False)))
    table = Tensor(f"{output.name}/table", codes.shape, codes.dtype, output.quantisation, codes)
    lowest = Tensor("128", (1,), _INT32, data=np.array([128], np.int32))
    wide, indices = (Tensor(f"{output.name}/{name}", output.shape, _INT32) for name in ("codes", "indices"))
    types = {"in_data_type": "INT8", "out_data_type": "INT32"}
    return [
        Operator("CAST", (source,), (wide,), types, version=1, index=operator.index),
        Operator("ADD", (wide, lowest), (indices,), {"fused_activation_function": "NONE"}, 1, operator.index),
        Operator("GATHER", (table, indices), (output,), {"axis": 0, "batch_dims": 0}, 2, operator.index),
    ]
