"""CAST: the same numbers in another type, whatever their scales, as TFLite Micro converts them."""

import numpy as np

from tinyedge.ops.kernel_call import Kernel, KernelCall
from tinyedge.ops.rules import only_output, tensor_input, unsupported
from tinyedge.tflite.graph import Operator

_KERNEL = Kernel("te_cast", "te_cast_params")
_TO_FLOAT = Kernel("te_cast_f32", "te_cast_params")
# In the order of te_cast_type.
_TYPES = tuple(np.dtype(kind) for kind in (np.int8, np.int16, np.int32))
_FLOAT = np.dtype(np.float32)


def lower_cast(operator: Operator) -> KernelCall:
    """Lower CAST between integers, and to float32; of floats beyond a type C leaves the result undefined."""
    source, output = tensor_input(operator, 0, "input"), only_output(operator)
    # A bool is a byte of 0 or 1.
    from_type, to_type = (np.dtype(np.int8) if t.dtype == np.bool_ else t.dtype for t in (source, output))
    if source.is_constant or from_type not in _TYPES:
        problem = "is constant" if source.is_constant else f"is {source.dtype}"
        raise unsupported(operator, source, problem, "CAST of bool, int8, int16 and int32 activations")
    if output.dtype == np.bool_ or to_type not in (*_TYPES, _FLOAT) or output.elements != source.elements:
        raise unsupported(
            operator, output, f"is {output.dtype} {list(output.shape)}", "CAST to int8, int16, int32 and float32"
        )
    return KernelCall(
        kernel=_TO_FLOAT if to_type == _FLOAT else _KERNEL,
        fields={
            "count": output.elements,
            "source": _TYPES.index(from_type),
            "target": 0 if to_type == _FLOAT else _TYPES.index(to_type),
        },
        inputs=(source,),
        output=output,
        op=operator.op,
        name=output.name,
    )
