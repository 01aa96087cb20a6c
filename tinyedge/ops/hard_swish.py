"""HARD_SWISH."""

from typing import TYPE_CHECKING

from tinyedge.ops.descriptor import INT8, OperatorDescriptor, TorchForm
from tinyedge.ops.kernel_call import KernelCall
from tinyedge.ops.rules import int8_activation, int8_output, scale, unsupported, zero_point
from tinyedge.ops.table import codes_of, integer_layer_of, table_call
from tinyedge.tflite.fixed_point import clamp, high_mul_int16, quantise_multiplier
from tinyedge.tflite.graph import Operator

if TYPE_CHECKING:
    import torch

_INT16_MIN, _INT16_MAX = -(2**15), 2**15 - 1


def _wrap_int16(value: int) -> int:
    return (value + 2**15) % 2**16 - 2**15


def _rounding_shift_int16(value: int, exponent: int) -> int:
    """rounding_shift() on a 16-bit machine, where the mask of a long shift loses its upper bits."""
    mask = _wrap_int16((1 << exponent) - 1)
    threshold = (mask >> 1) + (value < 0)
    return _wrap_int16((value >> exponent) + ((value & mask) > threshold))


def _int16_multiplier(value: float) -> tuple[int, int]:
    """A requantisation multiplier of 16 bits."""
    multiplier, shift = quantise_multiplier(value)
    return min((multiplier + (1 << 15)) >> 16, _INT16_MAX), shift


def _lower(operator: Operator) -> KernelCall:
    """Lower HARD_SWISH, which is x * clamp(x / 6 + 1 / 2, 0, 1) in 16-bit fixed point."""
    source, output = int8_activation(operator), int8_output(operator)
    fine_scale = scale(source) / 128
    output_multiplier, output_shift = _int16_multiplier(fine_scale / scale(output))
    gate_multiplier, gate_shift = _int16_multiplier(fine_scale / (3 / 2**15))
    if output_shift > 0 or gate_shift > 31:
        raise unsupported(
            operator,
            output,
            f"has scale {scale(output):g} from {scale(source):g}",
            "input scales up to 64 times the output's",
        )

    def evaluate(value: int) -> int:
        fine = (value - zero_point(source)) * 128
        scaled = high_mul_int16(fine, output_multiplier)
        gate = fine  # In steps of 3 / 2^15: from -3 to 3, saturated.
        if gate_shift > 0:
            gate = clamp(gate << (gate_shift - 1), _INT16_MIN, _INT16_MAX)
        gate = high_mul_int16(gate, gate_multiplier)
        if gate_shift > 0:
            gate = clamp(gate << 1, _INT16_MIN, _INT16_MAX)
        elif gate_shift < 0:
            gate = _rounding_shift_int16(gate, -gate_shift)
        gate = (gate + 2**15) >> 1  # Now from 0 to 1.
        product = gate * scaled
        truncated = abs(product) >> 15
        result = _rounding_shift_int16(truncated if product >= 0 else -truncated, -output_shift)
        return clamp(_wrap_int16(result + zero_point(output)), -128, 127)

    return table_call(operator, evaluate)


def _float(operator: Operator, x: "torch.Tensor") -> "torch.Tensor":
    import torch.nn.functional as F

    return F.hardswish(x)


OPERATORS = (
    OperatorDescriptor(
        name="HARD_SWISH",
        lower=_lower,
        versions={"int8": 1},
        tflm_types=INT8,
        codes=codes_of(_lower),
        torch=TorchForm(("torch.nn.functional.hardswish",)),
        is_function=True,
        float_function=_float,
        integer_layer=integer_layer_of(_lower, _float),
    ),
)
