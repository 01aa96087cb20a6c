"""UNIDIRECTIONAL_SEQUENCE_LSTM of int8 or int16 activations, without peepholes, projection and normalisation."""

import numpy as np

from tinyedge.ops.accumulators import with_zero_point
from tinyedge.ops.descriptor import OperatorDescriptor
from tinyedge.ops.kernel_call import ConstantArray, Fields, Kernel, KernelCall
from tinyedge.ops.rules import (
    MAX_DEPTH,
    MAX_INT16X8_SUM,
    int16x8_multiplier,
    output_like,
    quantised_activation,
    requantisation_multiplier,
    scale,
    tensor_input,
    unsupported,
    zero_point,
)
from tinyedge.ops.sigmoid import exponent_of, sigmoid_points
from tinyedge.tflite.graph import Operator, Tensor

_ACTIVATIONS = ("te_logistic_s16", "te_tanh_s16")
INT8_KERNEL = Kernel("te_lstm_s8", "te_lstm_s8_params", calls=_ACTIVATIONS)
_KERNELS = {
    np.dtype(np.int8): INT8_KERNEL,
    np.dtype(np.int16): Kernel("te_lstm_s16", "te_lstm_s16_params", calls=_ACTIVATIONS),
}

# The operands by their places in TFLite's order, those of the gates in the kernels' order: forget, input, cell, output.
_INPUT_WEIGHTS, _RECURRENT_WEIGHTS, _BIASES = (2, 1, 3, 4), (6, 5, 7, 8), (13, 12, 14, 15)
_FORMS_LACKING = {"peepholes": (9, 10, 11), "a projection": (16, 17), "layer normalisation": (20, 21, 22, 23)}
_HIDDEN_STATE, _CELL_STATE = 18, 19
# Gates are in steps of 2^-12 before their activation, and of 2^-15 after it.
_SUM_SCALE, _GATE_SCALE = 2.0**-12, 2.0**-15
_MAX_INT16_PRODUCT = 2**22
_TYPES = (np.dtype(np.int8), np.dtype(np.int16))


def _lower(operator: Operator) -> KernelCall:
    source = quantised_activation(operator)
    output = output_like(operator, source)
    for form, positions in _FORMS_LACKING.items():
        for position in positions:
            operand = operator.optional_input(position)
            if operand is not None:
                raise unsupported(operator, operand, f"gives it {form}", "the form without, as Keras has it")
    hidden, cell = (_state(operator, position) for position in (_HIDDEN_STATE, _CELL_STATE))
    batches, steps, in_c, time_major = _sizes(operator, source)
    units = output.shape[2]
    if hidden.dtype != source.dtype or hidden.elements != batches * units:
        raise unsupported(operator, hidden, f"is {hidden.dtype} {list(hidden.shape)}", "a hidden state like the output")
    if cell.dtype != np.int16 or cell.elements != batches * units:
        raise unsupported(operator, cell, f"is {cell.dtype} {list(cell.shape)}", "int16 cell states")
    integer = _int8_sums if source.dtype == np.int8 else _int16_sums
    return KernelCall(
        kernel=_KERNELS[source.dtype],
        fields={
            "cell.batches": batches,
            "cell.steps": steps,
            "cell.units": units,
            "cell.batch_rows": 1 if time_major else steps,
            "cell.step_rows": batches if time_major else 1,
            **_cell_fields(operator, hidden, cell),
            "in_c": in_c,
            **integer(operator, source, hidden, in_c, units),
        },
        inputs=(source,),
        output=output,
        op=operator.op,
        name=output.name,
        macs=_macs(operator),
        scratch_bytes=2 * 4 * units,
        states=(hidden, cell),
    )


def _sizes(operator: Operator, source: Tensor) -> tuple[int, int, int, bool]:
    """Batches, steps and values of a step, and whether the steps are the first axis."""
    if len(source.shape) != 3 or operator.output.shape[:2] != source.shape[:2]:
        raise unsupported(operator, source, f"has shape {list(source.shape)}", "sequences (batch, steps, values)")
    time_major = bool(operator.options.get("time_major", False))
    first, second, in_c = source.shape
    return (second, first, in_c, True) if time_major else (first, second, in_c, False)


def _state(operator: Operator, position: int) -> Tensor:
    tensor = tensor_input(operator, position, "state")
    if tensor.dtype not in _TYPES or tensor.is_constant:
        raise unsupported(operator, tensor, f"is {tensor.dtype}", "a variable int8 or int16 tensor as a state")
    return tensor


def _cell_fields(operator: Operator, hidden: Tensor, cell: Tensor) -> Fields:
    exponent = exponent_of(scale(cell))
    if exponent is None or not -27 <= exponent <= 0:
        raise unsupported(operator, cell, f"has scale {scale(cell):g}", "cell states of a scale that is a power of two")
    activation = operator.options.get("fused_activation_function", "TANH")
    if activation not in ("TANH", "SIGMOID"):
        raise unsupported(operator, operator.output, f"has the activation {activation}", "TANH and SIGMOID")
    products = {
        "forget": _GATE_SCALE * scale(cell) / scale(cell),
        "input": _GATE_SCALE * _GATE_SCALE / scale(cell),
        "hidden": _GATE_SCALE * _GATE_SCALE / scale(hidden),
    }
    fields: Fields = {
        "cell.candidate_is_tanh": int(activation == "TANH"),
        "cell.tanh_multiplier": 3 << max(12 + exponent, 0),
        "cell.tanh_shift": max(-12 - exponent, 0),
        **dict(zip(("cell.state_min", "cell.state_max"), _state_range(operator, cell), strict=True)),
        "cell.table": ConstantArray(sigmoid_points()),
    }
    for name, real in products.items():
        multiplier, shift = requantisation_multiplier(operator, real)
        fields |= {f"cell.{name}_multiplier": multiplier, f"cell.{name}_shift": shift}
    return fields


def _state_range(operator: Operator, cell: Tensor) -> tuple[int, int]:
    """The least and the greatest cell state in its own steps."""
    clip = float(operator.options.get("cell_clip", 0.0))
    limit = int(min(clip / scale(cell), 32767.0))
    return (-limit, limit) if clip > 0 else (-32768, 32767)


def _weights(operator: Operator, positions: tuple[int, ...], shape: tuple[int, int]) -> list[Tensor]:
    """The symmetric int8 weights of the gates, each of one scale."""
    found = [tensor_input(operator, position, "weights") for position in positions]
    for tensor in found:
        scales = tensor.quantisation
        if tensor.data is None or tensor.dtype != np.int8 or tensor.shape != shape:
            raise unsupported(
                operator, tensor, f"is {tensor.dtype} {list(tensor.shape)}", f"int8 weights {list(shape)}"
            )
        if scales is None or scales.scales.size != 1 or scales.zero_point != 0:
            raise unsupported(operator, tensor, "has no single scale or a zero point", "symmetric weights of one scale")
    return found


def _biases(operator: Operator, units: int, dtype: type) -> np.ndarray:
    """(4, units) int64 of the gates' biases."""
    rows = []
    for position in _BIASES:
        tensor = tensor_input(operator, position, "bias")
        if tensor.data is None or tensor.dtype != dtype or tensor.elements != units:
            wanted = f"a constant bias of {units} {np.dtype(dtype)} values"
            raise unsupported(operator, tensor, f"is a bias of {tensor.elements} {tensor.dtype} values", wanted)
        rows.append(tensor.values.reshape(-1).astype(np.int64))
    return np.stack(rows)


def _int8_sums(operator: Operator, source: Tensor, hidden: Tensor, in_c: int, units: int) -> Fields:
    if max(in_c, units) > MAX_DEPTH:
        raise unsupported(operator, source, f"has {max(in_c, units)} values", f"at most {MAX_DEPTH} values")
    given = _weights(operator, _INPUT_WEIGHTS, (units, in_c))
    recurrent = _weights(operator, _RECURRENT_WEIGHTS, (units, units))
    fields: Fields = {"hidden_zero_point": zero_point(hidden)}
    biases = {"input": _biases(operator, units, np.int32), "recurrent": np.zeros((4, units), np.int64)}
    for name, weights, values in (("input", given, source), ("recurrent", recurrent, hidden)):
        stacked = np.stack([tensor.values for tensor in weights])
        pairs = [requantisation_multiplier(operator, scale(values) * scale(tensor) / _SUM_SCALE) for tensor in weights]
        fields |= {
            f"{name}_weights": ConstantArray(stacked),
            f"{name}_bias": ConstantArray(with_zero_point(biases[name], stacked, zero_point(values))),
            f"{name}_multipliers": tuple(multiplier for multiplier, _ in pairs),
            f"{name}_shifts": tuple(shift for _, shift in pairs),
        }
    return fields


def _int16_sums(operator: Operator, source: Tensor, hidden: Tensor, in_c: int, units: int) -> Fields:
    biases = _biases(operator, units, np.int64)
    if max(in_c, units) * _MAX_INT16_PRODUCT + int(np.abs(biases).max(initial=0)) >= MAX_INT16X8_SUM:
        raise unsupported(operator, source, "takes part in sums beyond 2^47", f"sums below {MAX_INT16X8_SUM}")
    fields: Fields = {"input_bias": ConstantArray(biases)}
    for name, positions, columns, values in (
        ("input", _INPUT_WEIGHTS, in_c, source),
        ("recurrent", _RECURRENT_WEIGHTS, units, hidden),
    ):
        weights = _weights(operator, positions, (units, columns))
        pairs = [int16x8_multiplier(operator, scale(values) * scale(tensor) / _SUM_SCALE) for tensor in weights]
        fields |= {
            f"{name}_weights": ConstantArray(np.stack([tensor.values for tensor in weights])),
            f"{name}_multipliers": tuple(multiplier for multiplier, _ in pairs),
            f"{name}_shifts": tuple(shift for _, shift in pairs),
        }
    return fields


def _macs(operator: Operator) -> int:
    in_c, units = operator.input(0).shape[-1], operator.output.shape[-1]
    return operator.output.elements * 4 * (in_c + units)


OPERATORS = (OperatorDescriptor(name="UNIDIRECTIONAL_SEQUENCE_LSTM", inputs=(20, 24), lower=_lower, macs=_macs),)
