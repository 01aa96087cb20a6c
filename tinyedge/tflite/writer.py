"""A `Graph` as the bytes of a .tflite file, and no byte more than it needs.

TensorFlow's converter spends a third of the weights again on what says nothing: a name for every tensor, the same
shape, scale and zero point for each tensor that has it. Here equal vectors, tables and buffers are stored once, and
only inputs and outputs have names.
"""

from collections.abc import Hashable
from typing import Any

import flatbuffers
import numpy as np

from tinyedge.errors import ModelError
from tinyedge.tflite.detection import CUSTOM_OPTIONS
from tinyedge.tflite.graph import Graph, Operator, Quantisation, Tensor
from tinyedge.tflite.nibbles import pack_int4
from tinyedge.tflite.schema import enumeration_values, schema_class, schema_module

_IDENTIFIER = b"TFL3"
_SCHEMA_VERSION = 3
_BUFFER_ALIGNMENT = 16  # Kernels may read weights with vector instructions.
_LAST_DEPRECATED_CODE = 127

# The schema's tables of options by their operators' names, without underlines and in small letters.
_OPTION_TABLES: dict[str, str] = {
    name.removesuffix("Options").lower(): name
    for name in enumeration_values("BuiltinOptions")
    if name.endswith("Options")
}
_WITHOUT_OPTIONS = "NONE"

_ENUMS = {
    "mode": "MirrorPadMode",
    "padding": "Padding",
    "fused_activation_function": "ActivationFunctionType",
    "weights_format": "FullyConnectedOptionsWeightsFormat",
    "quantized_bias_type": "TensorType",
    "in_data_type": "TensorType",
    "out_data_type": "TensorType",
}


def tflite_bytes(graph: Graph) -> bytes:
    """Serialise a graph; the same graph gives the same bytes.

    Raises:
        ModelError: An operator is neither one of TFLite's own nor a custom one that was read from a file, or has an
            option that the schema does not know, or a state is another tensor after an inference than before it.
    """
    for state in graph.states:
        if state.after is not state.before:
            raise ModelError(
                f"state '{state.name}' of {graph.name} cannot be written to a .tflite file: its variable is out of the "
                "graph; export the model so that it has to be rewritten for no interpreter"
            )
    for operator in graph.operators:
        if not hasattr(schema_class("BuiltinOperator"), operator.op) and CUSTOM_OPTIONS not in operator.options:
            raise ModelError(
                f"operator {operator.index} ({operator.op}) cannot be written to a .tflite file: it is none of "
                "TFLite's own; export the model without it"
            )
    return _Writer(graph).content()


def _option_table(op: str) -> str:
    """The schema's table of an operator's options; some operators share one."""
    if op.endswith("_POOL_2D"):
        return "Pool2DOptions"
    if op in ("MEAN", "SUM") or op.startswith("REDUCE_"):
        return "ReducerOptions"
    if op == "L2_NORMALIZATION":
        return "L2NormOptions"
    return _OPTION_TABLES.get(op.replace("_", "").lower(), _WITHOUT_OPTIONS)


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
        self._variables = {state.before for state in graph.states}

    def content(self) -> bytes:
        builder = self._builder
        tensors = [self._tensor(tensor) for tensor in self._positions]
        codes = list(dict.fromkeys((operator.op, operator.version) for operator in self._graph.operators))
        operators = [self._operator(operator, codes) for operator in self._graph.operators]
        tensors_at, operators_at = self._offsets(tensors), self._offsets(operators)
        inputs = self._vector(self._indices(self._graph.inputs))
        outputs = self._vector(self._indices(self._graph.outputs))
        subgraph = self._table("SubGraph", Tensors=tensors_at, Inputs=inputs, Outputs=outputs, Operators=operators_at)
        subgraphs = self._offsets([subgraph])
        operator_codes = self._offsets([self._code(op, version) for op, version in codes])
        buffers = self._offsets([self._buffer(content) for content in self._buffers])
        model = self._table(
            "Model", Version=_SCHEMA_VERSION, OperatorCodes=operator_codes, Subgraphs=subgraphs, Buffers=buffers
        )
        builder.Finish(model, file_identifier=_IDENTIFIER)
        return bytes(builder.Output())

    def _tensor(self, tensor: Tensor) -> int:
        content = b""
        if tensor.data is not None:
            content = (pack_int4(tensor.data) if tensor.is_int4 else np.ascontiguousarray(tensor.data)).tobytes()
        shape = self._vector(np.array(tensor.shape, np.int32))
        quantisation = None if tensor.quantisation is None else self._quantisation(tensor.quantisation)
        name = self._builder.CreateSharedString(tensor.name) if tensor in self._named else None
        return self._table(
            "Tensor",
            Shape=shape,
            Type=getattr(schema_class("TensorType"), "INT4" if tensor.is_int4 else tensor.dtype.name.upper()),
            Buffer=self._buffers.setdefault(content, len(self._buffers)),
            Name=name,
            Quantization=quantisation,
            IsVariable=True if tensor in self._variables else None,
        )

    def _quantisation(self, quantisation: Quantisation) -> int:
        scales = self._vector(quantisation.scales.astype(np.float32))
        zero_points = self._vector(quantisation.zero_points.astype(np.int64))
        key = ("quantisation", scales, zero_points, quantisation.axis)
        if key not in self._written:
            self._written[key] = self._table(
                "QuantizationParameters", Scale=scales, ZeroPoint=zero_points, QuantizedDimension=quantisation.axis
            )
        return self._written[key]

    def _operator(self, operator: Operator, codes: list[tuple[str, int]]) -> int:
        kind = _option_table(operator.op)
        inputs = self._vector(self._indices(operator.inputs))
        outputs = self._vector(self._indices(operator.outputs))
        custom = operator.options.get(CUSTOM_OPTIONS)
        options = self._options(operator, kind) if operator.options and custom is None else None
        return self._table(
            "Operator",
            OpcodeIndex=codes.index((operator.op, operator.version)),
            Inputs=inputs,
            Outputs=outputs,
            BuiltinOptionsType=None if options is None else getattr(schema_class("BuiltinOptions"), kind),
            BuiltinOptions=options,
            CustomOptions=self._vector(np.frombuffer(custom, np.uint8)) if custom else None,
        )

    def _options(self, operator: Operator, kind: str) -> int:
        values = {key: value for key, value in operator.options.items() if not isinstance(value, tuple)}
        key = (kind, tuple(values.items()))
        if key not in self._written:
            fields = {
                "".join(part.capitalize() for part in name.split("_")): getattr(schema_class(_ENUMS[name]), value)
                if name in _ENUMS
                else value
                for name, value in values.items()
            }
            known = {} if kind == _WITHOUT_OPTIONS else vars(schema_module(kind))
            unknown = [name for name in fields if f"{kind}Add{name}" not in known]
            if unknown:
                raise ModelError(
                    f"operator {operator.index} ({operator.op}) cannot be written to a .tflite file: the schema does "
                    f"not know its option {unknown[0]}"
                )
            self._written[key] = self._table(kind, **fields)
        return self._written[key]

    def _code(self, op: str, version: int) -> int:
        builtin = schema_class("BuiltinOperator")
        code = getattr(builtin, op, builtin.CUSTOM)
        deprecated = min(code, _LAST_DEPRECATED_CODE)
        name = self._builder.CreateString(op) if code == builtin.CUSTOM else None
        return self._table(
            "OperatorCode", DeprecatedBuiltinCode=deprecated, CustomCode=name, Version=version, BuiltinCode=code
        )

    def _buffer(self, content: bytes) -> int:
        builder, data = self._builder, None
        if content:
            builder.StartVector(1, len(content), _BUFFER_ALIGNMENT)
            builder.head = builder.Head() - len(content)
            builder.Bytes[builder.Head() : builder.Head() + len(content)] = content
            data = builder.EndVector()
        return self._table("Buffer", Data=data)

    def _table(self, kind: str, **fields: Any) -> int:
        """Write a table with the fields that are not None, in their order, and return where it is."""
        module = schema_module(kind)
        getattr(module, f"{kind}Start")(self._builder)
        for name, value in fields.items():
            if value is not None:
                getattr(module, f"{kind}Add{name}")(self._builder, value)
        return int(getattr(module, f"{kind}End")(self._builder))

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
