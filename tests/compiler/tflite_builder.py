"""Builds small .tflite models, a few quantised operators each, for tests."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

_OPTIONS = {
    "ADD": "AddOptions",
    "ARG_MAX": "ArgMaxOptions",
    "ARG_MIN": "ArgMinOptions",
    "ASSIGN_VARIABLE": "AssignVariableOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "BATCH_MATMUL": "BatchMatMulOptions",
    "BATCH_TO_SPACE_ND": "BatchToSpaceNDOptions",
    "BROADCAST_TO": "BroadcastToOptions",
    "CALL_ONCE": "CallOnceOptions",
    "CAST": "CastOptions",
    "CONCATENATION": "ConcatenationOptions",
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "DEPTH_TO_SPACE": "DepthToSpaceOptions",
    "DEQUANTIZE": "DequantizeOptions",
    "EXPAND_DIMS": "ExpandDimsOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "GATHER": "GatherOptions",
    "GELU": "GeluOptions",
    "HARD_SWISH": "HardSwishOptions",
    "L2_NORMALIZATION": "L2NormOptions",
    "LEAKY_RELU": "LeakyReluOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "MIRROR_PAD": "MirrorPadOptions",
    "MUL": "MulOptions",
    "PACK": "PackOptions",
    "PAD": "PadOptions",
    "PADV2": "PadV2Options",
    "QUANTIZE": "QuantizeOptions",
    "REDUCE_MAX": "ReducerOptions",
    "REDUCE_MIN": "ReducerOptions",
    "READ_VARIABLE": "ReadVariableOptions",
    "RESHAPE": "ReshapeOptions",
    "RESIZE_BILINEAR": "ResizeBilinearOptions",
    "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions",
    "REVERSE_V2": "ReverseV2Options",
    "SHAPE": "ShapeOptions",
    "SLICE": "SliceOptions",
    "SOFTMAX": "SoftmaxOptions",
    "SPACE_TO_BATCH_ND": "SpaceToBatchNDOptions",
    "SPACE_TO_DEPTH": "SpaceToDepthOptions",
    "SPLIT": "SplitOptions",
    "SPLIT_V": "SplitVOptions",
    "SQUEEZE": "SqueezeOptions",
    "STRIDED_SLICE": "StridedSliceOptions",
    "SUB": "SubOptions",
    "SVDF": "SVDFOptions",
    "SUM": "ReducerOptions",
    "TILE": "TileOptions",
    "TRANSPOSE": "TransposeOptions",
    "TRANSPOSE_CONV": "TransposeConvOptions",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTMOptions",
    "UNPACK": "UnpackOptions",
    "VAR_HANDLE": "VarHandleOptions",
}

_TYPES = {
    np.dtype(np.bool_): schema.TensorType.BOOL,
    np.dtype(np.float16): schema.TensorType.FLOAT16,
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.int16): schema.TensorType.INT16,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.int64): schema.TensorType.INT64,
    np.dtype(np.uint8): schema.TensorType.UINT8,
}
RESOURCE = "V1"
"""The type of a VAR_HANDLE's output."""
_TENSOR_TYPES = _TYPES | {np.dtype(RESOURCE): schema.TensorType.RESOURCE}


@dataclass(eq=False)
class TensorSpec:
    """A tensor: an activation, or a constant if it has data. An empty `scales` means no quantisation.

    `is_int4`: its int8 data, from -8 to 7, is written as INT4.
    """

    shape: Sequence[int]
    scales: Sequence[float] | float = ()
    zero_points: Sequence[int] | int = 0
    dtype: Any = np.int8
    data: np.ndarray | None = None
    axis: int = 0
    name: str = ""
    is_variable: bool = False
    is_int4: bool = False


def constant(data: np.ndarray, scales: Sequence[float] | float = (), zero_points: Any = 0, axis: int = 0) -> TensorSpec:
    """A constant tensor with the array's shape and type."""
    data = np.asarray(data)
    return TensorSpec(data.shape, scales, zero_points, data.dtype, data, axis)


@dataclass(eq=False)
class OperatorSpec:
    """An operator, custom if the schema lacks it; option names are the schema's: {"strideH": 2, "padding": "SAME"}.

    `others` are the outputs after the first; the options of a custom one are bytes.
    """

    op: str
    inputs: Sequence[TensorSpec | None]
    output: TensorSpec | None
    options: Mapping[str, Any] | bytes = field(default_factory=dict)
    version: int = 1
    others: Sequence[TensorSpec] = ()


def build_model(
    operators: Sequence[OperatorSpec],
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    once: Sequence[OperatorSpec] = (),
) -> bytes:
    """Serialise a model of operators in execution order, and of those of a second subgraph, if there are any."""
    model = schema.ModelT()
    model.version = 3
    model.description = "test"
    model.buffers = [schema.BufferT()]
    model.operatorCodes = []
    codes: dict[tuple[str, int], int] = {}
    model.subgraphs = [_subgraph(model, codes, operators, inputs, outputs)]
    if once:
        model.subgraphs.append(_subgraph(model, codes, once, (), ()))
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _subgraph(
    model: Any,
    codes: dict[tuple[str, int], int],
    operators: Sequence[OperatorSpec],
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
) -> Any:
    subgraph = schema.SubGraphT()
    subgraph.tensors = []
    subgraph.operators = []
    positions: dict[TensorSpec, int] = {}

    def position(spec: TensorSpec | None) -> int:
        if spec is None:
            return -1
        if spec not in positions:
            positions[spec] = len(subgraph.tensors)
            subgraph.tensors.append(_tensor(model, spec, positions[spec]))
        return positions[spec]

    for spec in operators:
        key = (spec.op, spec.version)
        if key not in codes:
            codes[key] = len(codes)
            code = schema.OperatorCodeT()
            code.builtinCode = getattr(schema.BuiltinOperator, spec.op, schema.BuiltinOperator.CUSTOM)
            if code.builtinCode == schema.BuiltinOperator.CUSTOM:
                code.customCode = spec.op.encode()
            code.deprecatedBuiltinCode = min(code.builtinCode, 127)
            code.version = spec.version
            model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = codes[key]
        operator.inputs = [position(tensor) for tensor in spec.inputs]
        operator.outputs = [position(tensor) for tensor in (spec.output, *spec.others) if tensor is not None]
        if spec.op in _OPTIONS:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, _OPTIONS[spec.op])
            operator.builtinOptions = _options(_OPTIONS[spec.op], spec.options)
        if isinstance(spec.options, bytes):
            operator.customOptions = np.frombuffer(spec.options, np.uint8)
        subgraph.operators.append(operator)
    subgraph.inputs = [position(tensor) for tensor in inputs]
    subgraph.outputs = [position(tensor) for tensor in outputs]
    return subgraph


def one_operator(op: str, inputs: Sequence[TensorSpec | None], output: TensorSpec, **options: Any) -> bytes:
    """Serialise a model of one operator, whose activations are the model's inputs."""
    activations = list(dict.fromkeys(tensor for tensor in inputs if tensor is not None and tensor.data is None))
    return build_model([OperatorSpec(op, inputs, output, options)], activations, [output])


def _tensor(model: Any, spec: TensorSpec, index: int) -> Any:
    tensor = schema.TensorT()
    tensor.name = spec.name or f"tensor_{index}"
    tensor.shape = [int(size) for size in spec.shape]
    tensor.type = schema.TensorType.INT4 if spec.is_int4 else _TENSOR_TYPES[np.dtype(spec.dtype)]
    tensor.buffer = 0
    tensor.isVariable = spec.is_variable
    if spec.data is not None:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(spec.data).tobytes(), dtype=np.uint8)
        if spec.is_int4:
            buffer.data = np.array([sum(pair) for pair in _nibble_pairs(buffer.data)], np.uint8)
        tensor.buffer = len(model.buffers)
        model.buffers.append(buffer)
    scales = np.atleast_1d(np.asarray(spec.scales, dtype=np.float32))
    if scales.size:
        quantisation = schema.QuantizationParametersT()
        quantisation.scale = scales
        zero_points = np.atleast_1d(np.asarray(spec.zero_points, dtype=np.int64))
        quantisation.zeroPoint = np.broadcast_to(zero_points, scales.shape).copy()
        quantisation.quantizedDimension = spec.axis
        tensor.quantization = quantisation
    return tensor


def _nibble_pairs(values: np.ndarray) -> Iterator[tuple[int, int]]:
    nibbles = [int(value) % 16 for value in values] + [0] * (len(values) % 2)
    return ((low, 16 * high) for low, high in zip(nibbles[::2], nibbles[1::2], strict=True))


def _options(name: str, values: Mapping[str, Any]) -> Any:
    enumerations = {
        "padding": schema.Padding,
        "fusedActivationFunction": schema.ActivationFunctionType,
        "mode": schema.MirrorPadMode,
        "outType": schema.TensorType,
        "inDataType": schema.TensorType,
        "outDataType": schema.TensorType,
    }
    options = getattr(schema, f"{name}T")()
    for key, value in values.items():
        if not hasattr(options, key):
            raise AttributeError(f"{name} has no field {key}")
        setattr(options, key, getattr(enumerations[key], value) if key in enumerations else value)
    return options
