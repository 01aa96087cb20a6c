"""A `Graph` as the bytes of a .tflite file, and no byte more than it needs.

TensorFlow's converter spends a third of the weights again on what says nothing: a name for every tensor, the same
shape, scale and zero point for each tensor that has it. Here equal vectors, tables and buffers are stored once, and
only inputs and outputs have names.
"""

from collections.abc import Hashable
from typing import Any

import flatbuffers
import numpy as np
import tflite

from tinyedge.errors import ModelError
from tinyedge.tflite.graph import Graph, Operator, Quantisation, Tensor

_IDENTIFIER = b"TFL3"
_SCHEMA_VERSION = 3
_BUFFER_ALIGNMENT = 16  # Kernels may read weights with vector instructions.
_LAST_DEPRECATED_CODE = 127

_OPTIONS = {
    "ADD": "AddOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "BATCH_MATMUL": "BatchMatMulOptions",
    "CAST": "CastOptions",
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "DEQUANTIZE": "DequantizeOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "GATHER": "GatherOptions",
    "GELU": "GeluOptions",
    "HARD_SWISH": "HardSwishOptions",
    "LOGISTIC": "NONE",
    "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "MUL": "MulOptions",
    "PAD": "PadOptions",
    "QUANTIZE": "QuantizeOptions",
    "RELU": "NONE",
    "RELU6": "NONE",
    "RESHAPE": "ReshapeOptions",
    "SOFTMAX": "SoftmaxOptions",
    "SUB": "SubOptions",
    "TANH": "NONE",
    "TRANSPOSE": "TransposeOptions",
}
WRITABLE_OPERATORS = frozenset(_OPTIONS)

_ENUMS = {
    "padding": tflite.Padding,
    "fused_activation_function": tflite.ActivationFunctionType,
    "weights_format": tflite.FullyConnectedOptionsWeightsFormat,
    "quantized_bias_type": tflite.TensorType,
    "in_data_type": tflite.TensorType,
    "out_data_type": tflite.TensorType,
}


def tflite_bytes(graph: Graph) -> bytes:
    """Serialise a graph; the same graph gives the same bytes.

    Raises:
        ModelError: An operator is not one of `WRITABLE_OPERATORS`.
    """
    unknown = [operator for operator in graph.operators if operator.op not in _OPTIONS]
    if unknown:
        raise ModelError(
            f"operator {unknown[0].index} ({unknown[0].op}) cannot be written to a .tflite file; "
            f"known are {', '.join(sorted(WRITABLE_OPERATORS))}"
        )
    return _Writer(graph).content()


class _Writer:
    """One file; flatbuffers are written from their leaves to their root, and a shared leaf once."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._builder = flatbuffers.Builder(1 << 20)
        self._written: dict[Hashable, int] = {}
        self._buffers: dict[bytes, int] = {b"": 0}  # Buffer 0 is empty, for tensors without data.
        tensors: dict[Tensor, None] = dict.fromkeys(graph.inputs)
        for operator in graph.operators:
            tensors.update(dict.fromkeys(tensor for tensor in (*operator.inputs, *operator.outputs) if tensor))
        self._positions = {tensor: position for position, tensor in enumerate(tensors)}
        self._named = {*graph.inputs, *graph.outputs}

    def content(self) -> bytes:
        builder = self._builder
        tensors = [self._tensor(tensor) for tensor in self._positions]
        codes = list(dict.fromkeys((operator.op, operator.version) for operator in self._graph.operators))
        operators = [self._operator(operator, codes) for operator in self._graph.operators]
        tensors_at, operators_at = self._offsets(tensors), self._offsets(operators)
        inputs = self._vector(self._indices(self._graph.inputs))
        outputs = self._vector(self._indices(self._graph.outputs))
        tflite.SubGraphStart(builder)
        tflite.SubGraphAddTensors(builder, tensors_at)
        tflite.SubGraphAddInputs(builder, inputs)
        tflite.SubGraphAddOutputs(builder, outputs)
        tflite.SubGraphAddOperators(builder, operators_at)
        subgraphs = self._offsets([tflite.SubGraphEnd(builder)])
        operator_codes = self._offsets([self._code(op, version) for op, version in codes])
        buffers = self._offsets([self._buffer(content) for content in self._buffers])
        tflite.ModelStart(builder)
        tflite.ModelAddVersion(builder, _SCHEMA_VERSION)
        tflite.ModelAddOperatorCodes(builder, operator_codes)
        tflite.ModelAddSubgraphs(builder, subgraphs)
        tflite.ModelAddBuffers(builder, buffers)
        builder.Finish(tflite.ModelEnd(builder), file_identifier=_IDENTIFIER)
        return bytes(builder.Output())

    def _tensor(self, tensor: Tensor) -> int:
        builder = self._builder
        content = b"" if tensor.data is None else np.ascontiguousarray(tensor.data).tobytes()
        shape = self._vector(np.array(tensor.shape, np.int32))
        quantisation = None if tensor.quantisation is None else self._quantisation(tensor.quantisation)
        name = builder.CreateSharedString(tensor.name) if tensor in self._named else None
        tflite.TensorStart(builder)
        tflite.TensorAddShape(builder, shape)
        tflite.TensorAddType(builder, getattr(tflite.TensorType, tensor.dtype.name.upper()))
        tflite.TensorAddBuffer(builder, self._buffers.setdefault(content, len(self._buffers)))
        if name is not None:
            tflite.TensorAddName(builder, name)
        if quantisation is not None:
            tflite.TensorAddQuantization(builder, quantisation)
        return int(tflite.TensorEnd(builder))

    def _quantisation(self, quantisation: Quantisation) -> int:
        builder = self._builder
        scales = self._vector(quantisation.scales.astype(np.float32))
        zero_points = self._vector(quantisation.zero_points.astype(np.int64))
        key = ("quantisation", scales, zero_points, quantisation.axis)
        if key not in self._written:
            tflite.QuantizationParametersStart(builder)
            tflite.QuantizationParametersAddScale(builder, scales)
            tflite.QuantizationParametersAddZeroPoint(builder, zero_points)
            tflite.QuantizationParametersAddQuantizedDimension(builder, quantisation.axis)
            self._written[key] = tflite.QuantizationParametersEnd(builder)
        return self._written[key]

    def _operator(self, operator: Operator, codes: list[tuple[str, int]]) -> int:
        builder, kind = self._builder, _OPTIONS[operator.op]
        inputs = self._vector(self._indices(operator.inputs))
        outputs = self._vector(self._indices(operator.outputs))
        options = self._options(kind, operator.options) if operator.options else None
        tflite.OperatorStart(builder)
        tflite.OperatorAddOpcodeIndex(builder, codes.index((operator.op, operator.version)))
        tflite.OperatorAddInputs(builder, inputs)
        tflite.OperatorAddOutputs(builder, outputs)
        if options is not None:
            tflite.OperatorAddBuiltinOptionsType(builder, getattr(tflite.BuiltinOptions, kind))
            tflite.OperatorAddBuiltinOptions(builder, options)
        return int(tflite.OperatorEnd(builder))

    def _options(self, kind: str, options: dict[str, Any]) -> int:
        builder = self._builder
        values = {key: value for key, value in options.items() if not isinstance(value, tuple)}
        key = (kind, tuple(values.items()))
        if key not in self._written:
            getattr(tflite, f"{kind}Start")(builder)
            for name, value in values.items():
                add = getattr(tflite, f"{kind}Add{''.join(part.capitalize() for part in name.split('_'))}")
                add(builder, getattr(_ENUMS[name], value) if name in _ENUMS else value)
            self._written[key] = getattr(tflite, f"{kind}End")(builder)
        return self._written[key]

    def _code(self, op: str, version: int) -> int:
        builder, code = self._builder, getattr(tflite.BuiltinOperator, op)
        tflite.OperatorCodeStart(builder)
        tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, min(code, _LAST_DEPRECATED_CODE))
        tflite.OperatorCodeAddVersion(builder, version)
        tflite.OperatorCodeAddBuiltinCode(builder, code)
        return int(tflite.OperatorCodeEnd(builder))

    def _buffer(self, content: bytes) -> int:
        builder, data = self._builder, None
        if content:
            builder.StartVector(1, len(content), _BUFFER_ALIGNMENT)
            builder.head = builder.Head() - len(content)
            builder.Bytes[builder.Head() : builder.Head() + len(content)] = content
            data = builder.EndVector()
        tflite.BufferStart(builder)
        if data is not None:
            tflite.BufferAddData(builder, data)
        return int(tflite.BufferEnd(builder))

    def _indices(self, tensors: tuple[Tensor | None, ...]) -> np.ndarray:
        return np.array([-1 if tensor is None else self._positions[tensor] for tensor in tensors], np.int32)

    def _vector(self, values: np.ndarray) -> int:
        key = (values.dtype.str, values.tobytes())
        if key not in self._written:
            self._written[key] = self._builder.CreateNumpyVector(values)
        return self._written[key]

    def _offsets(self, offsets: list[int]) -> int:
        builder = self._builder
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return int(builder.EndVector())
