"""SVDF of int8 activations: a layer over the newest values of some filters, its weights decomposed into two factors."""

import numpy as np

from tinyedge.ops.accumulators import with_zero_point
from tinyedge.ops.descriptor import OperatorDescriptor
from tinyedge.ops.kernel_call import ConstantArray, Fields, Kernel, KernelCall
from tinyedge.ops.rules import (
    MAX_DEPTH,
    bias_array,
    int8_activation,
    int8_output,
    requantisation_multiplier,
    scale,
    tensor_input,
    unsupported,
    weights_input,
    zero_point,
)
from tinyedge.tflite.graph import Operator, Tensor

_KERNELS = {
    np.dtype(np.int8): Kernel("te_svdf_s8", "te_svdf_params"),
    np.dtype(np.int16): Kernel("te_svdf_s16", "te_svdf_s16_params"),
}
_TIME_WEIGHTS, _BIAS, _STATE = 2, 3, 4


def _lower(operator: Operator) -> KernelCall:
    source, output = int8_activation(operator), int8_output(operator)
    features, times = weights_input(operator), tensor_input(operator, _TIME_WEIGHTS, "weights over time")
    state = tensor_input(operator, _STATE, "state")
    rank = int(operator.options.get("rank", 1))
    if times.data is None or times.dtype not in _KERNELS or state.dtype != times.dtype or state.is_constant:
        raise unsupported(
            operator, times, f"is {times.dtype} for states of {state.dtype}", "int8 or int16 weights and states alike"
        )
    if len(source.shape) != 2 or len(features.shape) != 2 or len(times.shape) != 2 or rank < 1:
        raise unsupported(operator, source, f"has shape {list(source.shape)}", "an input (batch, values)")
    (batches, in_c), (filters, memory) = source.shape, times.shape
    units = filters // rank
    fit = features.shape == (filters, in_c) and units * rank == filters and state.elements == batches * filters * memory
    if not fit or output.shape != (batches, units):
        raise unsupported(operator, output, f"has shape {list(output.shape)} of rank {rank}", "shapes that match")
    if max(in_c, rank * memory) > MAX_DEPTH or features.q.scales.size != 1 or np.any(features.q.zero_points):
        raise unsupported(operator, features, f"has shape {list(features.shape)}", "symmetric weights of one scale")
    fields: Fields = {
        "batches": batches,
        "in_c": in_c,
        "filters": filters,
        "rank": rank,
        "memory": memory,
        "output_zero_point": zero_point(output),
        **_requantisation(operator, source, features, times, state),
        "feature_weights": ConstantArray(features.values),
        "feature_bias": ConstantArray(
            with_zero_point(np.zeros(filters, np.int64), features.values, zero_point(source))
        ),
        "time_weights": ConstantArray(times.values),
        "bias": bias_array(operator, _BIAS, units) or ConstantArray(np.zeros(units, np.int32)),
    }
    if state.dtype == np.int8:
        fields["state_zero_point"] = zero_point(state)
    return KernelCall(
        kernel=_KERNELS[state.dtype],
        fields=fields,
        inputs=(source,),
        output=output,
        op=operator.op,
        name=output.name,
        macs=_macs(operator),
        states=(state,),
    )


def _requantisation(operator: Operator, source: Tensor, features: Tensor, times: Tensor, state: Tensor) -> Fields:
    """The multipliers, whose scales the reference multiplies in single precision."""
    given, weights, kept, over_time, made = (
        np.float32(scale(tensor)) for tensor in (source, features, state, times, operator.output)
    )
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        pairs = {"feature": given * weights / kept, "output": kept * over_time / made}
    fields: Fields = {}
    for name, real in pairs.items():
        multiplier, shift = requantisation_multiplier(operator, float(real))
        fields |= {f"{name}_multiplier": multiplier, f"{name}_shift": shift}
    return fields


def _macs(operator: Operator) -> int:
    source, features, times = operator.input(0), operator.input(1), operator.input(_TIME_WEIGHTS)
    return source.shape[0] * (features.elements + times.elements)


OPERATORS = (OperatorDescriptor(name="SVDF", inputs=(5, 5), lower=_lower, macs=_macs),)
