"""A .tflite file's flatbuffer to graphs.

The file is not trusted: every length and index is checked against the file before it is used, so that a truncated or
damaged model is an error and never a crash, a hang or a wrong program.
"""

import hashlib
import math
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from tinyedge.errors import ModelError
from tinyedge.tflite.detection import CUSTOM_OPTIONS, set_output_shapes
from tinyedge.tflite.graph import Graph, Operator, Quantisation, Tensor
from tinyedge.tflite.nibbles import unpack_int4
from tinyedge.tflite.schema import enumeration_values, schema_class

_MAX_TENSOR_BYTES = 2**31 - 1
OPAQUE = np.dtype("V1")
"""Stands for the types that NumPy lacks: RESOURCE, which `tinyedge.tflite.states` takes out of a graph, and what the
reader has refused by then."""
_RESOURCE = "RESOURCE"
_INT4 = "INT4"

_BIAS_TYPES = (np.dtype(np.int32), np.dtype(np.int64))

_DTYPES: dict[str, np.dtype] = {
    "BOOL": np.dtype(np.bool_),
    "FLOAT16": np.dtype(np.float16),
    "FLOAT32": np.dtype(np.float32),
    _INT4: np.dtype(np.int8),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "UINT8": np.dtype(np.uint8),
}


def _enum_names(enumeration: str) -> dict[int, str]:
    return {value: name for name, value in enumeration_values(enumeration).items()}


_TENSOR_TYPES = _enum_names("TensorType")
_OPERATORS = _enum_names("BuiltinOperator")
_OPTION_TYPES = _enum_names("BuiltinOptions")
_OPTION_ENUMS: dict[str, dict[int, str]] = {
    "mode": _enum_names("MirrorPadMode"),
    "padding": _enum_names("Padding"),
    "fused_activation_function": _enum_names("ActivationFunctionType"),
    "weights_format": _enum_names("FullyConnectedOptionsWeightsFormat"),
    "quantized_bias_type": _TENSOR_TYPES,
    "in_data_type": _TENSOR_TYPES,
    "out_data_type": _TENSOR_TYPES,
}


class Refuse(Protocol):
    """What hears of each thing that tinyedge does not take."""

    def __call__(self, sentence: str, operator: int | None = None) -> None:
        """Hear why, and the index of the operator that it is about."""


def damaged(path: Path, reason: str) -> ModelError:
    """Return the error for a file that is not whole."""
    return ModelError(f"{path} is truncated or damaged ({reason}): copy or export it again")


_Result = TypeVar("_Result")


def parse_untrusted(path: Path, content: bytes, parse: Callable[[], _Result]) -> _Result:
    """Return what parsing a file gives, with whatever its damage raises turned into a sentence.

    Args:
        path: Of the file, for messages.
        content: Of the file.
        parse: Reads the content.

    Raises:
        ModelError: The file is damaged.
    """
    try:
        return parse()
    except ModelError:
        raise
    except Exception as error:  # A damaged flatbuffer can make its accessors raise anything.
        raise ModelError(
            f"{path} is truncated or damaged ({len(content)} bytes, {type(error).__name__} while reading): "
            "copy or export it again"
        ) from error


class FileParser:
    """One pass over one file; tensors are read when an operator names them.

    Attributes:
        type_names: TFLite's name of each tensor's type.
        signatures: The declared shape of each tensor that has sizes known only at run time, which are -1 there.
        extra_bytes: How many more than its shape has a constant's buffer holds, where it does.
        variables: The tensors that keep their values from one inference to the next.

    Args:
        path: Of the file, for messages.
        content: Of the file.
        refuse: Told of each thing that tinyedge does not take. It raises, or the reader goes on as well as it can;
            for damage it always stops.
    """

    def __init__(self, path: Path, content: bytes, refuse: Refuse) -> None:
        self.type_names: dict[Tensor, str] = {}
        self.signatures: dict[Tensor, tuple[int, ...]] = {}
        self.extra_bytes: dict[Tensor, int] = {}
        self.variables: set[Tensor] = set()
        self._path = path
        self._content = content
        self._refuse = refuse
        self._model = schema_class("Model").GetRootAs(content, 0)
        self._subgraph: Any = None
        self._tensors: dict[int, Tensor] = {}
        # An accessor of a flatbuffer takes as long as all else that is done with what it gives.
        self._code_count = self._length(self._model.OperatorCodesLength())
        self._buffer_count = self._length(self._model.BuffersLength())
        self._tensor_count = 0

    def further_graphs(self) -> tuple[Graph, ...]:
        """Read all subgraphs but the first, which nothing is asked of."""
        return tuple(self._graph(index) for index in range(1, self._model.SubgraphsLength()))

    def main_graph(self) -> Graph:
        """Read the model's first subgraph, which is the one that runs."""
        if not self._length(self._model.SubgraphsLength()):
            raise self._damaged("it has no subgraph")
        graph = self._graph(0)
        if not graph.inputs or not graph.outputs:
            self._refuse(str(self._damaged("it has no inputs or no outputs")))
        return graph

    def _graph(self, index: int) -> Graph:
        self._subgraph = self._model.Subgraphs(index)
        self._tensors = {}
        self._tensor_count = self._length(self._subgraph.TensorsLength())
        operators = [
            self._operator(self._subgraph.Operators(index), index)
            for index in range(self._length(self._subgraph.OperatorsLength()))
        ]
        return Graph(
            name=self._path.stem,
            operators=operators,
            inputs=tuple(self._tensor(index) for index in self._indices(self._subgraph.InputsAsNumpy())),
            outputs=tuple(self._tensor(index) for index in self._indices(self._subgraph.OutputsAsNumpy())),
            sha256=hashlib.sha256(self._content).hexdigest(),
        )

    def _damaged(self, reason: str) -> ModelError:
        return damaged(self._path, reason)

    def _length(self, length: int) -> int:
        """Check the length of a flatbuffer vector, whose elements take at least a byte each."""
        if length > len(self._content):
            raise self._damaged(f"a list of {length} entries in a file of {len(self._content)} bytes")
        return length

    def _indices(self, vector: Any) -> list[int]:
        # The accessors return the integer 0 for an absent vector.
        return [] if isinstance(vector, int) else [int(index) for index in vector]

    def _operator(self, source: Any, index: int) -> Operator:
        code_index = source.OpcodeIndex()
        if code_index >= self._code_count:
            raise self._damaged(f"operator {index} has the unknown code {code_index}")
        code = self._model.OperatorCodes(code_index)
        # Files from before 2020 have only the 8-bit deprecated field; later ones saturate it at 127.
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        op = _OPERATORS.get(builtin, f"BUILTIN_{builtin}")
        if builtin not in _OPERATORS:
            self._refuse(str(self._damaged(f"operator {index} has the unknown builtin code {builtin}")), index)
        options = self._options(source)
        if op == "CUSTOM":
            op = _text(code.CustomCode()) or "CUSTOM"
            content = source.CustomOptionsAsNumpy()
            options[CUSTOM_OPTIONS] = b"" if isinstance(content, int) else content.tobytes()
        inputs = tuple(None if i == -1 else self._tensor(i) for i in self._indices(source.InputsAsNumpy()))
        outputs = tuple(self._tensor(i) for i in self._indices(source.OutputsAsNumpy()))
        operator = Operator(op, inputs, outputs, options, max(code.Version(), 1), index)
        set_output_shapes(operator)
        return operator

    def _options(self, source: Any) -> dict[str, Any]:
        kind = _OPTION_TYPES.get(source.BuiltinOptionsType())
        if kind is None:
            raise self._damaged("an operator has options of an unknown type")
        table = source.BuiltinOptions()
        if kind == "NONE" or table is None:
            return {}
        options = schema_class(kind)()
        options.Init(table.Bytes, table.Pos)
        return dict(_fields(options, self._length))

    def _tensor(self, index: int) -> Tensor:
        if index not in self._tensors:
            if not 0 <= index < self._tensor_count:
                raise self._damaged(f"there is no tensor {index}")
            self._tensors[index] = self._read_tensor(self._subgraph.Tensors(index), index)
        return self._tensors[index]

    def _read_tensor(self, source: Any, index: int) -> Tensor:
        name = _text(source.Name()) or f"tensor_{index}"
        type_name = _TENSOR_TYPES.get(source.Type(), f"type {source.Type()}")
        dtype = _DTYPES.get(type_name)
        if dtype is None:
            if type_name != _RESOURCE:
                self._refuse(f"tensor '{name}' of {self._path} is {type_name}: tinyedge takes full-INT8 models")
            dtype = OPAQUE
        sparse = source.Sparsity() is not None
        if sparse:
            self._refuse(
                f"tensor '{name}' of {self._path} is sparse: convert the model without Optimize.EXPERIMENTAL_SPARSITY"
            )
        shape = tuple(self._indices(source.ShapeAsNumpy()))
        signature = self._indices(source.ShapeSignatureAsNumpy())
        # A batch of unknown size is stored as 1 and run as 1; any other unknown size is no static plan.
        if any(size < 0 for size in shape) or any(size < 0 for size in signature[1:]):
            self._refuse(
                f"tensor '{name}' of {self._path} has the dynamic shape {signature or list(shape)}: "
                "export it with static shapes"
            )
            signature = signature or list(shape)
            shape = tuple(max(size, 1) for size in shape)
        if math.prod(shape) * dtype.itemsize > _MAX_TENSOR_BYTES:
            raise self._damaged(f"tensor '{name}' has the shape {list(shape)}")
        is_int4 = type_name == _INT4
        data = self._buffer(source.Buffer(), name, shape, dtype, sparse, is_int4)
        if is_int4 and data is None:
            self._refuse(f"tensor '{name}' of {self._path} is INT4 and computed: tinyedge takes INT4 weights only")
        quantisation = self._quantisation(source.Quantization(), name, shape, dtype)
        tensor = Tensor(name, shape, dtype, quantisation, data, is_int4=is_int4)
        self.type_names[tensor] = type_name
        if source.IsVariable():
            self.variables.add(tensor)
        if data is not None and not sparse and dtype != OPAQUE:
            extra = self._model.Buffers(source.Buffer()).DataLength() - tensor.bytes
            if extra > 0:
                self.extra_bytes[tensor] = extra
        if any(size < 0 for size in signature):
            self.signatures[tensor] = tuple(signature)
        return tensor

    def _buffer(
        self, index: int, name: str, shape: tuple[int, ...], dtype: np.dtype, sparse: bool, is_int4: bool
    ) -> np.ndarray | None:
        if index >= self._buffer_count:
            raise self._damaged(f"tensor '{name}' has the unknown buffer {index}")
        buffer = self._model.Buffers(index)
        if buffer.Offset() > 1:
            raise ModelError(f"{self._path} keeps its weights outside the flatbuffer: export it below 2 GB")
        content = buffer.DataAsNumpy()
        if isinstance(content, int) or content.size == 0:
            return np.zeros(shape, dtype) if 0 in shape else None
        if sparse or dtype == OPAQUE:
            return np.zeros(shape, dtype)
        count = math.prod(shape)
        size = -(-count // 2) if is_int4 else count * dtype.itemsize
        if content.size < size:
            raise self._damaged(f"tensor '{name}' of shape {list(shape)} has {content.size} bytes")
        # More of them, as padding for some processor's kernels, TFLite Micro's interpreter never looks at.
        if is_int4:
            return unpack_int4(content[:size], count).reshape(shape)
        values = np.frombuffer(content[:size].tobytes(), dtype=dtype.newbyteorder("<")).astype(dtype)
        return values.reshape(shape)

    def _quantisation(self, source: Any, name: str, shape: tuple[int, ...], dtype: np.dtype) -> Quantisation | None:
        if source is None or source.ScaleLength() == 0:
            return None
        scales = np.array(source.ScaleAsNumpy(), dtype=np.float32)
        zero_points = np.array(self._indices(source.ZeroPointAsNumpy()), dtype=np.int64)
        if zero_points.size == 0:
            zero_points = np.zeros(scales.size, dtype=np.int64)
        # Converters of 2020 gave biases the axis of their weights, and a bias has one.
        axis = source.QuantizedDimension() if scales.size > 1 and len(shape) > 1 else 0
        channels_fit = scales.size == 1 or (0 <= axis < len(shape) and shape[axis] == scales.size)
        if not channels_fit or zero_points.size != scales.size:
            sizes = f"{scales.size} scales and {zero_points.size} zero points"
            self._refuse(str(self._damaged(f"tensor '{name}' of shape {list(shape)} has {sizes}")))
            return None
        # That of a bias follows from input and weights, and rounds to 0 where those of a dead channel are small.
        too_small = scales < 0 if dtype in _BIAS_TYPES else scales <= 0
        if not np.all(np.isfinite(scales)) or np.any(too_small) or np.any(np.abs(zero_points) > 2**31 - 1):
            problem = "a scale that is not positive or a zero point out of range"
            self._refuse(str(self._damaged(f"tensor '{name}' has {problem}")))
            return None
        return Quantisation(scales, zero_points.astype(np.int32), axis)


def _text(value: bytes | None) -> str:
    """A name from the file, fit to be printed on one line."""
    name = "" if value is None else value.decode("utf-8", errors="replace")
    if name.isprintable():
        return name
    return "".join(character if character.isprintable() else "?" for character in name)


@cache
def _accessors(table: type) -> tuple[tuple[str, str, bool], ...]:
    """The accessors of a table's fields, the fields' snake_case names, and whether there are several values."""
    accessors = vars(table)
    return tuple(
        (accessor, re.sub(r"(?<!^)([A-Z])", r"_\1", accessor).lower(), f"{accessor}Length" in accessors)
        for accessor in accessors
        if accessor != "Init"
        and not accessor.startswith(("_", "GetRootAs"))
        and not accessor.endswith(("Length", "AsNumpy", "IsNone", "BufferHasIdentifier"))
    )


def _fields(options: Any, length: Callable[[int], int]) -> Iterator[tuple[str, Any]]:
    """Yield the fields of a flatbuffer options table by their snake_case schema names, enumerations by name."""
    table: Any = type(options)
    for accessor, field, vector in _accessors(table):
        if vector:
            count = length(getattr(options, f"{accessor}Length")())
            yield field, tuple(int(getattr(options, accessor)(i)) for i in range(count))
            continue
        value = getattr(options, accessor)()
        if field in _OPTION_ENUMS:
            names = _OPTION_ENUMS[field]
            if value not in names:
                raise ValueError(f"{field} {value}")
            value = names[value]
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{field} {value}")
        yield field, value
