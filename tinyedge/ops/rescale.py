"""RELU and its kin, and QUANTIZE and DEQUANTIZE: the same values in another quantisation or type, clamped."""

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from tinyedge.ops.descriptor import INT8_AND_INT16, OperatorDescriptor, TorchForm
from tinyedge.ops.kernel_call import Kernel, KernelCall, Overlap
from tinyedge.ops.overlap import in_place
from tinyedge.ops.rules import (
    element,
    int8_activation,
    int8_output,
    only_output,
    output_like,
    quantise,
    quantised_activation,
    quantised_output,
    requantisation_multiplier,
    scale,
    tensor_input,
    type_range,
    unsupported,
    zero_point,
)
from tinyedge.ops.stripes import counted
from tinyedge.ops.table import byte_lookup, codes_of, integer_layer_of, table_call
from tinyedge.tflite.fixed_point import clamp, requantise
from tinyedge.tflite.graph import Operator, Tensor

if TYPE_CHECKING:
    import torch


KERNELS = {
    ("s8", "s16"): Kernel("te_rescale_s8_s16", "te_rescale_params", stripes=counted),
    ("s16", "s8"): Kernel("te_rescale_s16_s8", "te_rescale_params", stripes=counted),
    ("s16", "s16"): Kernel("te_rescale_s16", "te_rescale_params", stripes=counted),
}
"""By the types of the input and the output."""

_QUANTIZE_FLOAT = {
    element: Kernel(f"te_quantize_f32_{element}", "te_quantize_params", stripes=counted) for element in ("s8", "s16")
}
_DEQUANTIZE = {
    element: Kernel(f"te_dequantize_{element}_f32", "te_quantize_params", stripes=counted) for element in ("s8", "s16")
}
_FLOAT, _UINT8 = np.dtype(np.float32), np.dtype(np.uint8)


def _lower_quantize(operator: Operator) -> KernelCall:
    """Lower QUANTIZE from float, within and between int8 and int16, and between int8 and uint8."""
    source, output = tensor_input(operator, 0, "input"), only_output(operator)
    if source.dtype == _FLOAT and not source.is_constant:
        return _convert(operator, _QUANTIZE_FLOAT, quantised_output(operator), source)
    if _UINT8 in (source.dtype, output.dtype):
        return _lower_uint8(operator, source, output)
    source, output = quantised_activation(operator), quantised_output(operator)
    return _rescale(operator, scale(source) / scale(output), *type_range(output))


def _lower_dequantize(operator: Operator) -> KernelCall:
    """Lower DEQUANTIZE of int8 or int16 to float32."""
    source, output = quantised_activation(operator), only_output(operator)
    if output.dtype != _FLOAT:
        raise unsupported(operator, output, f"is {output.dtype}", "DEQUANTIZE to float32")
    return _convert(operator, _DEQUANTIZE, source, output)


def _convert(operator: Operator, kernels: Mapping[str, Kernel], quantised: Tensor, real: Tensor) -> KernelCall:
    """A conversion between a quantised tensor and one of floats."""
    if quantised.elements != real.elements:
        raise unsupported(operator, operator.output, f"has shape {list(operator.output.shape)}", "the input's shape")
    source, output = operator.input(0), operator.output
    return KernelCall(
        kernel=kernels[element(quantised)],
        fields={"count": output.elements, "scale": scale(quantised), "zero_point": zero_point(quantised)},
        inputs=(source,),
        output=output,
        op=operator.op,
        name=output.name,
        # What is written never reaches what is still to be read, where it is not the wider.
        overlaps=(Overlap(0, 0),) if output.bytes <= source.bytes else (),
    )


def _lower_uint8(operator: Operator, source: Tensor, output: Tensor) -> KernelCall:
    """Lower QUANTIZE from uint8 to int8 or back: 256 results, which lie in the order of the input read as int8."""
    known = {_UINT8, np.dtype(np.int8)}
    quantised = all(t.quantisation is not None and t.quantisation.scales.size == 1 for t in (source, output))
    if (
        source.is_constant
        or {source.dtype, output.dtype} - known
        or not quantised
        or source.elements != output.elements
    ):
        raise unsupported(
            operator, output, f"is {output.dtype} from {source.dtype}", "QUANTIZE of uint8 to int8 and back"
        )
    multiplier, shift = requantisation_multiplier(operator, scale(source) / scale(output))
    low, high = type_range(output)
    values = np.arange(-128, 128).astype(np.int8).view(source.dtype)
    results = [
        clamp(requantise(int(value) - zero_point(source), multiplier, shift) + zero_point(output), low, high)
        for value in values
    ]
    return byte_lookup(operator, source, output, np.array(results, output.dtype).view(np.int8))


def _lower_relu(operator: Operator) -> KernelCall:
    """Lower a RELU that stands alone."""
    source = quantised_activation(operator)
    output = output_like(operator, source)
    return _rescale(operator, scale(source) / scale(output), zero_point(output), type_range(output)[1])


def _lower_relu6(operator: Operator) -> KernelCall:
    """Lower a RELU6 that stands alone: a clamp in the input's quantisation, whatever the output's is."""
    source = quantised_activation(operator)
    output_like(operator, source)
    six = clamp(quantise(operator, source, 6.0), *type_range(source))
    if source.dtype == np.int16:
        return _rescale(operator, 1.0, 0, six)
    zero = zero_point(source)
    return table_call(operator, lambda value: six if value > six else max(value, zero))


def _lower_between(operator: Operator, low: float) -> KernelCall:
    """Lower an int8 clamp to [low, 1], which rescales; TFLite Micro lacks both, LiteRT's are the reference."""
    source, output = int8_activation(operator), int8_output(operator)
    lowest, highest = (clamp(quantise(operator, output, real), *type_range(output)) for real in (low, 1.0))
    return _rescale(operator, float(source.q.scales[0] / output.q.scales[0]), lowest, highest)


def _rescale(operator: Operator, real_multiplier: float, low: int, high: int) -> KernelCall:
    """Multiply by a real and clamp, from int8 to int8 by a table."""
    source, output = quantised_activation(operator), quantised_output(operator)
    if source.elements != output.elements:
        raise unsupported(operator, output, f"has shape {list(output.shape)}", f"shape {list(source.shape)}")
    multiplier, shift = requantisation_multiplier(operator, real_multiplier)
    if source.dtype == output.dtype == np.int8:
        return table_call(
            operator,
            lambda value: clamp(
                requantise(value - zero_point(source), multiplier, shift) + zero_point(output), low, high
            ),
        )
    return KernelCall(
        kernel=KERNELS[element(source), element(output)],
        fields={
            "count": output.elements,
            "input_zero_point": zero_point(source),
            "output_zero_point": zero_point(output),
            "multiplier": multiplier,
            "shift": shift,
            "output_min": low,
            "output_max": high,
        },
        inputs=(source,),
        output=output,
        op=operator.op,
        name=output.name,
        overlaps=in_place(output, source),
    )


def _moves_nothing(operator: Operator, source: Tensor) -> bool:
    # A multiplier of exactly 1 passes through the rounding of the requantisation unchanged.
    output = operator.output
    return (
        source.shape == output.shape
        and source.quantisation is not None
        and source.quantisation.equals(output.quantisation)
    )


def _float_quantize(operator: Operator, x: "torch.Tensor") -> "torch.Tensor":
    return x


def _float_relu(operator: Operator, x: "torch.Tensor") -> "torch.Tensor":
    return x.relu()


def _float_relu6(operator: Operator, x: "torch.Tensor") -> "torch.Tensor":
    return x.clamp(0, 6)


def _float_between(operator: Operator, x: "torch.Tensor", low: float) -> "torch.Tensor":
    return x.clamp(low, 1)


def _bounds(operator: Operator, tensors: Mapping[Tensor, Tensor], low: float) -> list[Operator]:
    """The MAXIMUM and the MINIMUM that a float clamp to [low, 1] is in INT8, for TFLite Micro has no such operator."""
    source, output = tensors[operator.input(0)], tensors[operator.output]
    least, most = (clamp(quantise(operator, output, real), *type_range(output)) for real in (low, 1.0))
    names = ((f"{output.name}/least", least), (f"{output.name}/most", most))
    bounds = [
        Tensor(name, (1,), output.dtype, output.quantisation, np.array([code], output.dtype)) for name, code in names
    ]
    raised = dataclasses.replace(output, name=f"{output.name}/raised")
    return [
        Operator("MAXIMUM", (source, bounds[0]), (raised,), version=2, index=operator.index),
        Operator("MINIMUM", (raised, bounds[1]), (output,), version=2, index=operator.index),
    ]


OPERATORS = (
    OperatorDescriptor(name="DEQUANTIZE", lower=_lower_dequantize, converts_types=True),
    OperatorDescriptor(
        name="QUANTIZE",
        lower=_lower_quantize,
        versions={"int8": 1, "int16": 2},
        tflm_types=INT8_AND_INT16,
        converts_types=True,
        passes_offsets=True,
        moves_nothing=_moves_nothing,
        codes=codes_of(_lower_quantize),
        float_function=_float_quantize,
        integer_layer=integer_layer_of(_lower_quantize, _float_quantize),
    ),
    OperatorDescriptor(
        name="RELU",
        lower=_lower_relu,
        versions={"int8": 2, "int16": 3},
        tflm_types=INT8_AND_INT16,
        codes=codes_of(_lower_relu),
        torch=TorchForm(("torch.nn.functional.relu",)),
        is_function=True,
        float_function=_float_relu,
        integer_layer=integer_layer_of(_lower_relu, _float_relu),
    ),
    # Standing alone, TFLite Micro's clamps without rescaling; fused into a convolution it is no operator.
    OperatorDescriptor(
        name="RELU6",
        lower=_lower_relu6,
        versions={"int8": 2, "int16": 3},
        tflm_types=INT8_AND_INT16,
        keeps_quantisation=True,
        bounds_values=True,
        codes=codes_of(_lower_relu6),
        is_function=True,
        float_function=_float_relu6,
        integer_layer=integer_layer_of(_lower_relu6, _float_relu6),
    ),
    *(
        OperatorDescriptor(
            name=name,
            lower=partial(_lower_between, low=low),
            expand=partial(_bounds, low=low),
            keeps_quantisation=True,
            bounds_values=True,
            codes=codes_of(partial(_lower_between, low=low)),
            is_function=True,
            float_function=partial(_float_between, low=low),
        )
        for name, low in (("RELU_N1_TO_1", -1.0), ("RELU_0_TO_1", 0.0))
    ),
)
