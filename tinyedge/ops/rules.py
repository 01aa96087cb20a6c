"""What every lowering asks of its operator, and the error that says what is missing."""

import math
from collections.abc import Sequence

import numpy as np

from tinyedge.errors import UnsupportedOpError
from tinyedge.ops.kernel_call import ConstantArray
from tinyedge.tflite.fixed_point import INT32_MAX, INT32_MIN, quantise_multiplier, round_half_away
from tinyedge.tflite.graph import Operator, Tensor

# Beyond this, a sum of products of an int8 weight and an int8 value less its zero point may not fit 32 bits.
MAX_DEPTH = 65_535
# Beyond this, the same with a zero point in both operands.
MAX_DEPTH_TWO_OFFSETS = 33_025
# An accumulator of 64 bits is multiplied by 15 bits, so it may take this many.
MAX_INT16X8_SUM = 2**47

MAX_LEFT_SHIFT = 30
_MAX_INT16X8_LEFT_SHIFT = 7


def unsupported(operator: Operator, tensor: Tensor, problem: str, supported: str) -> UnsupportedOpError:
    """The error for a form of an operator that has no kernel.

    Args:
        operator: The operator at fault.
        tensor: The tensor by which a user finds it in a model viewer.
        problem: What it has or lacks, starting with a verb: "has stride 0".
        supported: What would do: "strides of at least 1".
    """
    where = f"operator {operator.index} ({operator.op}), tensor '{tensor.name}'"
    return UnsupportedOpError(f"{where} {problem}: the compiler supports {supported}")


def tensor_input(operator: Operator, position: int, meaning: str) -> Tensor:
    """The input at a position, which has to be there.

    Raises:
        UnsupportedOpError: It is absent.
    """
    if position >= len(operator.inputs):
        raise unsupported(operator, operator.outputs[0], f"has no {meaning}", f"{operator.op} with its {meaning}")
    tensor = operator.inputs[position]
    if tensor is None:
        raise unsupported(operator, operator.outputs[0], f"has no {meaning}", f"{operator.op} with its {meaning}")
    return tensor


def int8_activation(operator: Operator, position: int = 0, meaning: str = "input") -> Tensor:
    """The input at a position, an int8 activation with one scale.

    Raises:
        UnsupportedOpError: It is absent, constant, of another type or quantised otherwise.
    """
    return _require_activation(operator, _require_int8(operator, tensor_input(operator, position, meaning)))


def int8_output(operator: Operator) -> Tensor:
    """The only output, int8 with one scale.

    Raises:
        UnsupportedOpError: There are several, or it is of another type or quantised otherwise.
    """
    return _require_int8(operator, only_output(operator))


def _require_int8(operator: Operator, tensor: Tensor) -> Tensor:
    if tensor.dtype != np.int8:
        raise unsupported(operator, tensor, f"is {tensor.dtype}", f"{operator.op} of int8 activations")
    return _require_quantised(operator, tensor)


def quantised_input(operator: Operator, position: int = 0, meaning: str = "input") -> Tensor:
    """The input at a position, an int8 or int16 activation or constant with one scale.

    Raises:
        UnsupportedOpError: It is absent, of another type or quantised otherwise.
    """
    return _require_quantised(operator, tensor_input(operator, position, meaning))


def quantised_activation(operator: Operator, position: int = 0, meaning: str = "input") -> Tensor:
    """The input at a position, an int8 or int16 activation with one scale.

    Raises:
        UnsupportedOpError: It is absent, constant, of another type or quantised otherwise.
    """
    return _require_activation(operator, quantised_input(operator, position, meaning))


def quantised_output(operator: Operator) -> Tensor:
    """The only output, int8 or int16 with one scale.

    Raises:
        UnsupportedOpError: There are several, or it is of another type or quantised otherwise.
    """
    return _require_quantised(operator, only_output(operator))


def output_like(operator: Operator, source: Tensor) -> Tensor:
    """The only output, quantised and of the type of an input.

    Raises:
        UnsupportedOpError: There are several, or it is of another type or quantised otherwise.
    """
    output = quantised_output(operator)
    if output.dtype != source.dtype:
        raise unsupported(
            operator, output, f"is {output.dtype} from {source.dtype}", f"{operator.op} without a change of type"
        )
    return output


def element(tensor: Tensor) -> str:
    """What the names of kernels call the tensor's type: "s8" or "s16"."""
    return f"s{8 * tensor.dtype.itemsize}"


def type_range(tensor: Tensor) -> tuple[int, int]:
    """The smallest and the largest value of the tensor's type."""
    info = np.iinfo(tensor.dtype)
    return int(info.min), int(info.max)


def only_output(operator: Operator) -> Tensor:
    """The output of an operator that has one.

    Raises:
        UnsupportedOpError: There are several.
    """
    if len(operator.outputs) != 1:
        raise unsupported(
            operator, operator.outputs[0], f"is one of {len(operator.outputs)} outputs", f"{operator.op} with one"
        )
    return operator.output


def _require_activation(operator: Operator, tensor: Tensor) -> Tensor:
    if tensor.is_constant:
        raise unsupported(operator, tensor, "is constant", f"{operator.op} of an activation")
    return tensor


def _require_quantised(operator: Operator, tensor: Tensor) -> Tensor:
    if tensor.dtype not in (np.dtype(np.int8), np.dtype(np.int16)):
        raise unsupported(operator, tensor, f"is {tensor.dtype}", "int8 and int16 activations")
    if tensor.quantisation is None or tensor.quantisation.scales.size != 1:
        raise unsupported(operator, tensor, "has no single scale", "activations with one scale and zero point")
    zero = tensor.quantisation.zero_point
    if tensor.dtype == np.int16 and zero != 0:
        raise unsupported(operator, tensor, f"has zero point {zero}", "int16 tensors with zero point 0")
    if not -128 <= zero <= 127:
        raise unsupported(operator, tensor, f"has zero point {zero}", "zero points of int8 tensors from -128 to 127")
    return tensor


def integers_of(tensor: Tensor) -> list[int] | None:
    """The values of a constant of integers, such as axes, as a pass asks for them; None of any other tensor."""
    if tensor.data is None or tensor.dtype.kind != "i":
        return None
    return [int(value) for value in tensor.data.reshape(-1)]


def constant_integers(operator: Operator, position: int, meaning: str) -> list[int]:
    """The values of a constant int32 input: axes, paddings, a permutation.

    Raises:
        UnsupportedOpError: It is absent, not constant or not of integers.
    """
    tensor = tensor_input(operator, position, meaning)
    if tensor.data is None or tensor.dtype not in (np.dtype(np.int32), np.dtype(np.int64)):
        raise unsupported(operator, tensor, f"is not a constant {meaning}", f"a constant int32 {meaning}")
    return [int(value) for value in tensor.data.reshape(-1)]


def scale(tensor: Tensor) -> float:
    """The tensor's one scale: a float32 as a double."""
    return tensor.q.scale


def zero_point(tensor: Tensor) -> int:
    """The tensor's one zero point."""
    return tensor.q.zero_point


def same_quantisation(a: Tensor, b: Tensor) -> bool:
    """Whether both tensors are of one type in which equal integers mean equal reals."""
    return a.dtype == b.dtype and scale(a) == scale(b) and zero_point(a) == zero_point(b)


def requantisation_multiplier(operator: Operator, value: float) -> tuple[int, int]:
    """The requantisation multiplier of 31 bits, and its shift, that a real is written as.

    Raises:
        UnsupportedOpError: The real is beyond 2^30, or no number.
    """
    return _bounded_multiplier(operator, value, MAX_LEFT_SHIFT, "scales that rescale")


def int16x8_multiplier(operator: Operator, value: float) -> tuple[int, int]:
    """The requantisation multiplier of accumulators of 64 bits, which has 15: multiplier * 2^(shift - 15).

    Raises:
        UnsupportedOpError: The real is 2^7 or more, or no number.
    """
    multiplier, shift = _bounded_multiplier(operator, value, _MAX_INT16X8_LEFT_SHIFT, "scales that rescale int16 sums")
    return min((multiplier + (1 << 15)) >> 16, 2**15 - 1), shift


def _bounded_multiplier(operator: Operator, value: float, most_shift: int, supported: str) -> tuple[int, int]:
    """`quantise_multiplier` of a quotient of scales, which single precision may have made infinite or NaN."""
    multiplier, shift = quantise_multiplier(value) if math.isfinite(value) else (0, most_shift + 1)
    if shift > most_shift:
        raise unsupported(
            operator, operator.outputs[0], f"is rescaled by {value:g}", f"{supported} by less than 2^{most_shift}"
        )
    return multiplier, shift


def requantisation_multipliers(operator: Operator, values: Sequence[float]) -> tuple[ConstantArray, ConstantArray]:
    """Multipliers (int32) and shifts (int8), one of each a channel.

    Raises:
        UnsupportedOpError: A real is beyond 2^30.
    """
    return _arrays([requantisation_multiplier(operator, value) for value in values])


def int16x8_multipliers(operator: Operator, values: Sequence[float]) -> tuple[ConstantArray, ConstantArray]:
    """The same for accumulators of 64 bits.

    Raises:
        UnsupportedOpError: A real is 2^7 or more.
    """
    return _arrays([int16x8_multiplier(operator, value) for value in values])


def _arrays(pairs: list[tuple[int, int]]) -> tuple[ConstantArray, ConstantArray]:
    multipliers = np.array([multiplier for multiplier, _ in pairs], dtype=np.int32)
    shifts = np.array([shift for _, shift in pairs], dtype=np.int8)
    return ConstantArray(multipliers), ConstantArray(shifts)


def bias_values(operator: Operator, position: int, channels: int, dtypes: Sequence[np.dtype]) -> np.ndarray | None:
    """The values of the optional constant bias, one a channel.

    Raises:
        UnsupportedOpError: It is an activation, of none of the types or of another length.
    """
    tensor = operator.inputs[position] if position < len(operator.inputs) else None
    if tensor is None:
        return None
    if tensor.data is None or tensor.dtype not in dtypes or tensor.elements != channels:
        raise unsupported(
            operator,
            tensor,
            f"is a bias of {tensor.elements} {tensor.dtype} {'values' if tensor.is_constant else 'computed values'}",
            f"a constant bias of {channels} {' or '.join(dtype.name for dtype in dtypes)} values",
        )
    return tensor.data.reshape(-1)


def bias_array(operator: Operator, position: int, channels: int) -> ConstantArray | None:
    """The optional constant int32 bias.

    Raises:
        UnsupportedOpError: It is an activation, of another type or of another length.
    """
    values = bias_values(operator, position, channels, (np.dtype(np.int32),))
    return None if values is None else ConstantArray(values)


def weights_input(operator: Operator) -> Tensor:
    """The constant int8 weights at position 1, with their quantisation.

    Raises:
        UnsupportedOpError: They are computed, empty, not int8 or not quantised.
    """
    tensor = tensor_input(operator, 1, "weights")
    if tensor.data is None or tensor.dtype != np.int8 or tensor.quantisation is None:
        kind = "constant" if tensor.is_constant else "computed"
        raise unsupported(operator, tensor, f"holds {kind} {tensor.dtype} weights", "constant int8 weights with scales")
    if tensor.elements == 0:
        raise unsupported(operator, tensor, f"has the empty shape {list(tensor.shape)}", "weights that are not empty")
    return tensor


def channel_scales(operator: Operator, weights: Tensor, axis: int) -> list[float]:
    """The scale of each output channel of symmetric weights, along `axis`.

    Raises:
        UnsupportedOpError: The scales run along another axis, or a zero point is not 0.
    """
    quantisation = weights.q
    if np.any(quantisation.zero_points):
        raise unsupported(operator, weights, "has weights with a zero point other than 0", "symmetric weights")
    channels = weights.shape[axis]
    if quantisation.scales.size == 1:
        return [quantisation.scale] * channels
    if quantisation.axis != axis or quantisation.scales.size != channels:
        raise unsupported(
            operator,
            weights,
            f"has {quantisation.scales.size} scales along axis {quantisation.axis}",
            f"one scale, or one for each of the {channels} channels of axis {axis}",
        )
    return [float(value) for value in quantisation.scales]


def clamp_range(operator: Operator) -> tuple[int, int]:
    """The smallest and largest value of the output's type that the fused activation lets through.

    The bounds are rounded in single precision, as the reference interpreter does.

    Raises:
        UnsupportedOpError: The activation is none of NONE, RELU, RELU6, RELU_N1_TO_1.
    """
    output = operator.output
    activation = operator.options.get("fused_activation_function", "NONE")
    bounds: dict[str, tuple[float | None, float | None]] = {
        "NONE": (None, None),
        "RELU": (0.0, None),
        "RELU6": (0.0, 6.0),
        "RELU_N1_TO_1": (-1.0, 1.0),
    }
    if activation not in bounds:
        raise unsupported(
            operator, output, f"has the fused activation {activation}", "the fused activations " + ", ".join(bounds)
        )
    low, high = bounds[activation]
    lowest, highest = type_range(output)
    quantised_low = lowest if low is None else max(lowest, quantise(operator, output, low))
    quantised_high = highest if high is None else min(highest, quantise(operator, output, high))
    return quantised_low, quantised_high


def quantise(operator: Operator, tensor: Tensor, real: float) -> int:
    """The integer of a real in the tensor's quantisation, not limited to its type.

    The quotient is rounded in single precision, as the reference interpreter does.

    Raises:
        UnsupportedOpError: It does not fit 32 bits, where the reference is undefined.
    """
    with np.errstate(over="ignore"):
        steps = float(np.float32(real) / np.float32(scale(tensor)))
    if not INT32_MIN <= steps <= INT32_MAX:
        raise unsupported(
            operator,
            tensor,
            f"has scale {scale(tensor):g}, in which {real:g} overflows",
            "scales that hold it in 32 bits",
        )
    return zero_point(tensor) + round_half_away(steps)
