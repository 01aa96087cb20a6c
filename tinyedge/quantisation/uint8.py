"""A graph that is quantised to uint8, as converters did before 2020, over int8: TFLite's specification of today.

Codes of activations, and their zero points, are 128 lower; their scales, and so their reals, stay. Weights had one
scale and a zero point anywhere, and have the zero point 0 now: a channel whose weights lie within 127 steps of the old
zero point keeps its scale and is the same, and the one or two of a layer that lie further get a coarser scale.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinyedge.errors import ModelError, UnsupportedOpError
from tinyedge.ops import descriptor_of
from tinyedge.ops.descriptor import OperatorDescriptor, WeightsLayout
from tinyedge.tflite.detection import DETECTION_POSTPROCESS
from tinyedge.tflite.fixed_point import INT8_MAX, INT8_MIN
from tinyedge.tflite.graph import Graph, Operator, Quantisation, Tensor, integer_constant

_UINT8, _INT8, _INT32, _FLOAT = (np.dtype(kind) for kind in (np.uint8, np.int8, np.int32, np.float32))
_OFFSET = -INT8_MIN
# Their kernels of uint8 rescaled what they copied; all others copied codes, whatever both scales were.
_RESCALING = frozenset({"CONCATENATION", "PADV2"})
_POOLINGS = frozenset({"AVERAGE_POOL_2D", "MAX_POOL_2D"})  # Their kernels of int8 refuse to do so.


@dataclass(frozen=True)
class Int8Graph:
    """What a uint8 graph became.

    Attributes:
        graph: Over int8.
        channels: Output channels of all layers with weights.
        rescaled_channels: Those of them whose weights were rounded to a coarser scale.
        coarsest: The largest such scale, as a multiple of the old one; 1 where there is none.
    """

    graph: Graph
    channels: int
    rescaled_channels: int
    coarsest: float


def int8_of_uint8(graph: Graph) -> Int8Graph:
    """Return a uint8 graph over int8; it is not changed.

    Args:
        graph: As `tinyedge.tflite.full_int8.is_uint8` tells. Tensors of other types stay.

    Raises:
        ModelError: A uint8 tensor has no scale, an activation or a layer's weights have several, or weights are
            computed.
        UnsupportedOpError: An operator has no kernel, or takes codes for numbers.
    """
    rewriting = _Rewriting()
    for operator in graph.operators:
        rewriting.add(operator)
    recoded = dataclasses.replace(
        graph,
        operators=rewriting.operators,
        inputs=tuple(map(rewriting.tensor, graph.inputs)),
        outputs=tuple(map(rewriting.tensor, graph.outputs)),
        sha256="",
    )
    factors = np.concatenate([*rewriting.factors, np.ones(1)])
    return Int8Graph(recoded, factors.size - 1, int((factors > 1).sum()), float(factors.max()))


class _Rewriting:
    """The operators over int8 as far as they are written.

    Attributes:
        operators: In order.
        factors: Of each layer with weights, the new scale of each channel as a multiple of the old one, (C,) float64.
    """

    def __init__(self) -> None:
        self.operators: list[Operator] = []
        self.factors: list[np.ndarray] = []
        self._tensors: dict[Tensor, Tensor] = {}

    def add(self, operator: Operator) -> None:
        """Write an operator over int8."""
        descriptor = descriptor_of(operator)
        reads_uint8 = any(tensor is not None and tensor.dtype == _UINT8 for tensor in operator.inputs)
        if descriptor.lower is None and reads_uint8:
            raise UnsupportedOpError(
                f"operator {operator.index} ({operator.op}) has no int8 kernel: give the part of the model before it"
            )
        if operator.op == "CAST" and any(tensor.dtype == _UINT8 for tensor in (operator.input(0), operator.output)):
            raise UnsupportedOpError(
                f"operator {operator.index} (CAST) takes codes for numbers, and those of int8 are 128 lower: give the "
                "part of the model before or behind it"
            )
        if operator.op == DETECTION_POSTPROCESS:
            inputs = [None if tensor is None else self._real(tensor) for tensor in operator.inputs]
        elif descriptor.weights is not None and operator.input(1).dtype == _UINT8:
            inputs = self._with_weights(operator, descriptor.weights)
        else:
            inputs = self._over_int8(operator.inputs)
        outputs = tuple(map(self.tensor, operator.outputs))
        if operator.op in _RESCALING:
            inputs = [self._of_same_reals(tensor, outputs[0]) for tensor in inputs]
        elif operator.op in _POOLINGS:
            inputs = [self._of_same_codes(tensor, outputs[0]) for tensor in inputs]
        written = tuple(_as_kernels_write(descriptor, tensor) for tensor in outputs)
        version = descriptor.versions.get("int8", operator.version)
        self.operators.append(dataclasses.replace(operator, inputs=tuple(inputs), outputs=written, version=version))
        for made, wanted in zip(written, outputs, strict=True):
            if made is not wanted:
                self.operators.append(Operator("QUANTIZE", (made,), (wanted,), index=operator.index))

    def tensor(self, tensor: Tensor) -> Tensor:
        """Return a tensor over int8; one of another type is itself."""
        if tensor.dtype != _UINT8:
            return tensor
        if tensor not in self._tensors:
            old = _one_scale(tensor)
            quantisation = Quantisation(old.scales, old.zero_points - np.int32(_OFFSET))
            data = None if tensor.data is None else (tensor.data.astype(np.int16) - _OFFSET).astype(_INT8)
            self._tensors[tensor] = dataclasses.replace(tensor, dtype=_INT8, quantisation=quantisation, data=data)
        return self._tensors[tensor]

    def _over_int8(self, tensors: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Return inputs of an operator over int8; absent ones stay so."""
        return [None if tensor is None else self.tensor(tensor) for tensor in tensors]

    def _real(self, tensor: Tensor) -> Tensor:
        """Return what stands for the reals of a uint8 tensor, which only kernels of uint8 found by themselves."""
        if tensor.dtype != _UINT8:
            return tensor
        codes = self.tensor(tensor)
        real = Tensor(f"{tensor.name}/real", tensor.shape, _FLOAT)
        if codes.data is None:
            self.operators.append(Operator("DEQUANTIZE", (codes,), (real,), version=2))
        else:
            real.data = codes.q.reals(codes.data)
        return real

    def _of_same_reals(self, tensor: Tensor | None, like: Tensor) -> Tensor | None:
        """Return what stands for the same reals as a tensor in the quantisation of another one."""
        if tensor is None or not _differ(tensor, like):
            return tensor
        rescaled = dataclasses.replace(tensor, name=f"{tensor.name}/rescaled", quantisation=like.q, data=None)
        if tensor.data is not None:
            reals = (tensor.data.astype(np.float64) - tensor.q.zero_point) * tensor.q.scale
            codes = np.round(reals / like.q.scale) + like.q.zero_point
            return dataclasses.replace(rescaled, data=np.clip(codes, INT8_MIN, INT8_MAX).astype(_INT8))
        self.operators.append(Operator("QUANTIZE", (tensor,), (rescaled,)))
        return rescaled

    def _of_same_codes(self, tensor: Tensor | None, like: Tensor) -> Tensor | None:
        """Return what holds the same codes as a tensor in the quantisation of another one."""
        if tensor is None or not _differ(tensor, like):
            return tensor
        copied = dataclasses.replace(tensor, name=f"{tensor.name}/copied", quantisation=like.q)
        shape = integer_constant(f"{tensor.name}/shape", tensor.shape)
        self.operators.append(Operator("RESHAPE", (tensor, shape), (copied,)))
        return copied

    def _with_weights(self, operator: Operator, layout: WeightsLayout) -> list[Tensor | None]:
        """Return an operator's inputs, its weights of zero point 0 and its bias in steps of their scales."""
        weight, bias = operator.input(1), operator.optional_input(layout.bias)
        old, axis = _one_scale(weight), layout.channel_axis
        if not weight.is_constant or weight.values.ndim != layout.rank:
            raise ModelError(
                f"operator {operator.index} ({operator.op}) has computed weights: only constant ones become int8"
            )
        steps = weight.values.astype(np.int32) - old.zero_point
        largest = np.abs(steps).max(axis=tuple(other for other in range(steps.ndim) if other != axis))
        factors = np.maximum(largest / INT8_MAX, 1.0)
        scales = (factors * old.scale).astype(np.float32)
        factors = scales.astype(np.float64) / old.scale
        self.factors.append(factors)
        shape = [1] * steps.ndim
        shape[axis] = -1
        codes = np.clip(np.round(steps / factors.reshape(shape)), -INT8_MAX, INT8_MAX).astype(_INT8)
        quantisation = Quantisation(scales, np.zeros(len(scales), np.int32), axis)
        recoded = dataclasses.replace(weight, dtype=_INT8, data=codes, quantisation=quantisation)
        values, _, *rest = operator.inputs
        inputs = [*self._over_int8([values]), recoded, *self._over_int8(rest)]
        if bias is not None:
            # Kernels take its scale for the product of the other two.
            rescaled = np.round(bias.values / factors).astype(_INT32)
            inputs[layout.bias] = dataclasses.replace(bias, data=rescaled, quantisation=None)
        return inputs


def _as_kernels_write(descriptor: OperatorDescriptor, output: Tensor) -> Tensor:
    """Return what an operator writes where its int8 kernel has one quantisation, whatever the file says."""
    fixed = descriptor.output_quantisation.get("int8")
    if output.dtype != _INT8 or fixed is None or fixed.equals(output.q):
        return output
    return dataclasses.replace(output, name=f"{output.name}/fixed", quantisation=fixed)


def _differ(tensor: Tensor, like: Tensor) -> bool:
    """Whether two tensors are of codes, and equal codes mean other reals."""
    return tensor.dtype == like.dtype == _INT8 and not tensor.q.equals(like.q)


def _one_scale(tensor: Tensor) -> Quantisation:
    if tensor.q.scales.size != 1:
        raise ModelError(
            f"uint8 tensor '{tensor.name}' has {tensor.q.scales.size} scales: models of uint8 have one a tensor"
        )
    return tensor.q
