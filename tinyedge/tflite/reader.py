"""Reads a .tflite file into a `Graph`, or says in one sentence why it cannot.

The file is not trusted: every length and index is checked against the file before it is used, so that a truncated or
damaged model is an error and never a crash, a hang or a wrong program.
"""

import hashlib
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from tinyedge.errors import ModelError
from tinyedge.tflite.graph import Graph, Operator, Quantisation, Tensor
from tinyedge.tflite.schema import enumeration_values, schema_class

_MAX_TENSOR_BYTES = 2**31 - 1
# Stands for the types that NumPy lacks, in a inspection; the reader has refused them by then.
_OPAQUE = np.dtype("V1")

_DTYPES: dict[str, np.dtype] = {
    "BOOL": np.dtype(np.bool_),
    "FLOAT16": np.dtype(np.float16),
    "FLOAT32": np.dtype(np.float32),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "UINT8": np.dtype(np.uint8),
}


_INT8_ADVICE = (
    "export with `tinyedge export RUN --int8`, or set the converter's inference_input_type and inference_output_type "
    "to int8"
)
_INT16_ADVICE = "keep int16 inside the model, between a QUANTIZE from int8 and one to int8"


def _enum_names(enumeration: str) -> dict[int, str]:
    return {value: name for name, value in enumeration_values(enumeration).items()}


_TENSOR_TYPES = _enum_names("TensorType")
_OPERATORS = _enum_names("BuiltinOperator")
_OPTION_TYPES = _enum_names("BuiltinOptions")
_OPTION_ENUMS: dict[str, dict[int, str]] = {
    "padding": _enum_names("Padding"),
    "fused_activation_function": _enum_names("ActivationFunctionType"),
    "weights_format": _enum_names("FullyConnectedOptionsWeightsFormat"),
    "quantized_bias_type": _TENSOR_TYPES,
    "in_data_type": _TENSOR_TYPES,
    "out_data_type": _TENSOR_TYPES,
}


@dataclass(frozen=True)
class Diagnostic:
    """Why a model is not taken.

    Attributes:
        sentence: What, where, and what to do.
        operator: The operator's index in the file; None where no single operator is at fault.
    """

    sentence: str
    operator: int | None = None


@dataclass(eq=False)
class Inspection:
    """Any model, as far as it can be read.

    Attributes:
        path: The file.
        bytes: Its size.
        graphs: A graph a subgraph; the first is the one that runs. A size that is only known at run time is 1 here,
            and a constant of a type that NumPy lacks has no values.
        diagnostics: Everything that `read_tflite` has against the model; empty if it takes it.
        type_names: TFLite's name of each tensor's type: "INT8".
        signatures: The declared shape of each tensor that has sizes known only at run time, which are -1 there.
    """

    path: Path
    bytes: int
    graphs: tuple[Graph, ...] = ()
    diagnostics: list[Diagnostic] = field(default_factory=list)
    type_names: dict[Tensor, str] = field(default_factory=dict)
    signatures: dict[Tensor, tuple[int, ...]] = field(default_factory=dict)


class ParsedFile:
    """What is in a .tflite file, and what is wrong with it.

    Args:
        graph: Its only subgraph.
        not_full_int8: Why it is no full-INT8 model, in a sentence; None if it is one.
        disorder: Why its operators cannot run in their order; None if they can.
    """

    def __init__(self, graph: Graph, not_full_int8: str | None, disorder: str | None) -> None:
        self._graph = graph
        self._not_full_int8 = not_full_int8
        self._disorder = disorder

    def any_graph(self) -> Graph:
        """The graph of a model of any types.

        Raises:
            ModelError: The file is damaged.
        """
        if self._disorder is not None:
            raise ModelError(self._disorder)
        return self._graph

    def full_int8_graph(self) -> Graph:
        """The graph of a full-INT8 model.

        Raises:
            ModelError: It is none, or the file is damaged.
        """
        if self._not_full_int8 is not None:
            raise ModelError(self._not_full_int8)
        return self.any_graph()


def read_tflite(path: Path) -> Graph:
    """Read a full-INT8 model.

    Args:
        path: A .tflite file with one subgraph, static shapes, and int8 inputs and outputs; int16 is fine inside.

    Returns:
        Its operators in execution order. Constants hold their values; every int8 or int16 tensor has its quantisation.

    Raises:
        ModelError: The file is missing, not TFLite, damaged, or not full INT8.
    """
    return parse_tflite(path, read_content(path)).full_int8_graph()


def read_any_tflite(path: Path) -> Graph:
    """Read a model of any types: floats, or a mixture.

    Args:
        path: A .tflite file with one subgraph and static shapes.

    Raises:
        ModelError: The file is missing, not TFLite or damaged.
    """
    return parse_tflite(path, read_content(path)).any_graph()


def inspect_tflite(path: Path) -> Inspection:
    """Read any model, and note what `read_tflite` refuses it for instead of stopping there.

    Args:
        path: A .tflite file, whatever is in it.

    Raises:
        ModelError: The file is missing, not TFLite or damaged.
    """
    return _parse(path, read_content(path), lambda content: _inspect(path, content))


def read_content(path: Path) -> bytes:
    """Return the bytes of a .tflite file.

    Raises:
        ModelError: The file is missing or not TFLite.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ModelError(f"no model at {path}: give the path of a .tflite file") from None
    except OSError as error:
        raise ModelError(f"cannot read the model {path}: {error.strerror}") from error
    if not content:
        raise ModelError(f"{path} is empty: write the model again, for example with `tinyedge export RUN --int8`")
    if content[4:8] != b"TFL3":
        raise ModelError(f"{path} is not a TFLite model (no 'TFL3' at byte 4): give a .tflite file")
    return content


def parse_tflite(path: Path, content: bytes) -> ParsedFile:
    """Make a graph of the bytes of a .tflite file with one subgraph and static shapes.

    Args:
        path: Of the file, for messages and the graph's name.
        content: As `read_content` returns them.

    Raises:
        ModelError: The file is damaged.
    """
    return _parse(path, content, lambda content: _Reader(path, content, _raise).parsed())


def _inspect(path: Path, content: bytes) -> Inspection:
    inspection = Inspection(path, len(content))

    def note(sentence: str, operator: int | None = None) -> None:
        diagnostic = Diagnostic(sentence, operator)
        if diagnostic not in inspection.diagnostics:
            inspection.diagnostics.append(diagnostic)

    reader = _Reader(path, content, note)
    inspection.graphs = reader.graphs()
    inspection.type_names, inspection.signatures = reader.type_names, reader.signatures
    return inspection


def _raise(sentence: str, operator: int | None = None) -> None:
    raise ModelError(sentence)


_Result = TypeVar("_Result")


def _parse(path: Path, content: bytes, read: Callable[[bytes], _Result]) -> _Result:
    """Turn whatever the damage of a file raises into a sentence."""
    try:
        return read(content)
    except ModelError:
        raise
    except Exception as error:  # A damaged flatbuffer can make its accessors raise anything.
        raise ModelError(
            f"{path} is truncated or damaged ({len(content)} bytes, {type(error).__name__} while reading): "
            "copy or export it again"
        ) from error


class _Refuse(Protocol):
    def __call__(self, sentence: str, operator: int | None = None) -> None: ...


class _Reader:
    """One pass over one file; tensors are read when an operator names them.

    Args:
        path: Of the file, for messages.
        content: Of the file.
        refuse: Told of each thing that tinyedge does not take. It raises, or the reader goes on as well as it can;
            for damage it always stops.
    """

    def __init__(self, path: Path, content: bytes, refuse: _Refuse) -> None:
        self.type_names: dict[Tensor, str] = {}
        self.signatures: dict[Tensor, tuple[int, ...]] = {}
        self._path = path
        self._content = content
        self._refuse = refuse
        self._model = schema_class("Model").GetRootAs(content, 0)
        self._subgraph: Any = None
        self._tensors: dict[int, Tensor] = {}

    def parsed(self) -> ParsedFile:
        """Read the model's only subgraph and judge it."""
        graph = self._only_graph()
        return ParsedFile(graph, _complaint(self._check_types, graph), _complaint(self._check_order, graph))

    def graphs(self) -> tuple[Graph, ...]:
        """Read all subgraphs; only the first is checked, which `read_tflite` would read."""
        first = self._only_graph()
        self._check_types(first)
        self._check_order(first)
        return (first, *(self._graph(index) for index in range(1, self._model.SubgraphsLength())))

    def _only_graph(self) -> Graph:
        subgraphs = self._length(self._model.SubgraphsLength())
        if subgraphs != 1:
            self._refuse(
                f"{self._path} has {subgraphs} subgraphs: tinyedge takes models with one; export without control flow"
            )
        if not subgraphs:
            raise self._damaged("it has no subgraph")
        graph = self._graph(0)
        if not graph.inputs or not graph.outputs:
            self._refuse(str(self._damaged("it has no inputs or no outputs")))
        return graph

    def _graph(self, index: int) -> Graph:
        self._subgraph = self._model.Subgraphs(index)
        self._tensors = {}
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
        return ModelError(f"{self._path} is truncated or damaged ({reason}): copy or export it again")

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
        if code_index >= self._length(self._model.OperatorCodesLength()):
            raise self._damaged(f"operator {index} has the unknown code {code_index}")
        code = self._model.OperatorCodes(code_index)
        # Files from before 2020 have only the 8-bit deprecated field; later ones saturate it at 127.
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        op = _OPERATORS.get(builtin, f"BUILTIN_{builtin}")
        if builtin not in _OPERATORS:
            self._refuse(str(self._damaged(f"operator {index} has the unknown builtin code {builtin}")), index)
        if op == "CUSTOM":
            op = _text(code.CustomCode()) or "CUSTOM"
        inputs = tuple(None if i == -1 else self._tensor(i) for i in self._indices(source.InputsAsNumpy()))
        outputs = tuple(self._tensor(i) for i in self._indices(source.OutputsAsNumpy()))
        if not outputs:
            self._refuse(
                f"operator {index} ({op}) of {self._path} has no output: tinyedge takes models without state", index
            )
        return Operator(op, inputs, outputs, self._options(source), max(code.Version(), 1), index)

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
            if not 0 <= index < self._length(self._subgraph.TensorsLength()):
                raise self._damaged(f"there is no tensor {index}")
            self._tensors[index] = self._read_tensor(self._subgraph.Tensors(index), index)
        return self._tensors[index]

    def _read_tensor(self, source: Any, index: int) -> Tensor:
        name = _text(source.Name()) or f"tensor_{index}"
        type_name = _TENSOR_TYPES.get(source.Type(), f"type {source.Type()}")
        dtype = _DTYPES.get(type_name)
        if dtype is None:
            self._refuse(f"tensor '{name}' of {self._path} is {type_name}: tinyedge takes full-INT8 models")
            dtype = _OPAQUE
        sparse = source.Sparsity() is not None
        if sparse or source.IsVariable():
            self._refuse(
                f"tensor '{name}' of {self._path} is sparse or variable: tinyedge takes dense, stateless models"
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
        data = self._buffer(source.Buffer(), name, shape, dtype, sparse)
        tensor = Tensor(name, shape, dtype, self._quantisation(source.Quantization(), name, shape), data)
        self.type_names[tensor] = type_name
        if any(size < 0 for size in signature):
            self.signatures[tensor] = tuple(signature)
        return tensor

    def _buffer(
        self, index: int, name: str, shape: tuple[int, ...], dtype: np.dtype, sparse: bool
    ) -> np.ndarray | None:
        if index >= self._length(self._model.BuffersLength()):
            raise self._damaged(f"tensor '{name}' has the unknown buffer {index}")
        buffer = self._model.Buffers(index)
        if buffer.Offset() > 1:
            raise ModelError(f"{self._path} keeps its weights outside the flatbuffer: export it below 2 GB")
        content = buffer.DataAsNumpy()
        if isinstance(content, int) or content.size == 0:
            return np.zeros(shape, dtype) if 0 in shape else None
        if sparse or dtype == _OPAQUE:
            return np.zeros(shape, dtype)
        if content.size != math.prod(shape) * dtype.itemsize:
            raise self._damaged(f"tensor '{name}' of shape {list(shape)} has {content.size} bytes")
        values = np.frombuffer(content.tobytes(), dtype=dtype.newbyteorder("<")).astype(dtype)
        return values.reshape(shape)

    def _quantisation(self, source: Any, name: str, shape: tuple[int, ...]) -> Quantisation | None:
        if source is None or source.ScaleLength() == 0:
            return None
        scales = np.array(source.ScaleAsNumpy(), dtype=np.float32)
        zero_points = np.array(self._indices(source.ZeroPointAsNumpy()), dtype=np.int64)
        if zero_points.size == 0:
            zero_points = np.zeros(scales.size, dtype=np.int64)
        axis = source.QuantizedDimension() if scales.size > 1 else 0
        channels_fit = scales.size == 1 or (0 <= axis < len(shape) and shape[axis] == scales.size)
        if not channels_fit or zero_points.size != scales.size:
            sizes = f"{scales.size} scales and {zero_points.size} zero points"
            self._refuse(str(self._damaged(f"tensor '{name}' of shape {list(shape)} has {sizes}")))
            return None
        if not np.all(np.isfinite(scales)) or np.any(scales <= 0) or np.any(np.abs(zero_points) > 2**31 - 1):
            problem = "a scale that is not positive or a zero point out of range"
            self._refuse(str(self._damaged(f"tensor '{name}' has {problem}")))
            return None
        return Quantisation(scales, zero_points.astype(np.int32), axis)

    def _check_types(self, graph: Graph) -> None:
        """Full INT8: int8 activations with one scale each, zero points within int8, int8 weights with scales.

        Activations inside the model may be int16 with zero point 0.
        """
        activations = [tensor for tensor in self._tensors.values() if not tensor.is_constant]
        floats = [tensor for tensor in activations if tensor.dtype.kind == "f"]
        if floats and not any(tensor.dtype == np.int8 for tensor in activations):
            self._refuse(
                f"{self._path} is a {floats[0].dtype.name} model: export full INT8 with `tinyedge export RUN --int8`"
            )
            return
        for role, tensors in (("input", graph.inputs), ("output", graph.outputs)):
            for tensor in tensors:
                if tensor.dtype != np.int8:
                    self._refuse(
                        f"{role} '{tensor.name}' of {self._path} is {tensor.dtype.name}: tinyedge takes int8 inputs "
                        f"and outputs; {_INT16_ADVICE if tensor.dtype == np.int16 else _INT8_ADVICE}"
                    )
        for operator in graph.operators:
            for tensor in operator.outputs:
                if tensor.dtype.kind == "f" or tensor.dtype == np.uint8:
                    self._refuse(
                        f"operator {operator.index} ({operator.op}) of {self._path} makes the {tensor.dtype.name} "
                        f"tensor '{tensor.name}', and tinyedge takes full INT8: run `tinyedge export RUN --int8`",
                        operator.index,
                    )
        for tensor in self._tensors.values():
            if tensor.dtype not in (np.int8, np.int16) or tensor.elements == 0:
                continue
            quantisation = tensor.quantisation
            if quantisation is None:
                self._refuse(
                    f"{tensor.dtype.name} tensor '{tensor.name}' of {self._path} has no scale: "
                    "export it with full INT8 quantisation"
                )
                continue
            if not tensor.is_constant and quantisation.scales.size != 1:
                self._refuse(
                    f"activation '{tensor.name}' of {self._path} has {quantisation.scales.size} scales: "
                    "tinyedge takes one scale for an activation"
                )
            if tensor.dtype == np.int16 and np.any(quantisation.zero_points):
                self._refuse(
                    f"int16 tensor '{tensor.name}' of {self._path} has the zero point {quantisation.zero_point}: "
                    "tinyedge takes int16 with zero point 0, as TFLite Micro does"
                )
            if np.any(quantisation.zero_points < -128) or np.any(quantisation.zero_points > 127):
                self._refuse(str(self._damaged(f"int8 tensor '{tensor.name}' has a zero point outside [-128, 127]")))

    def _check_order(self, graph: Graph) -> None:
        """Every activation is written once, before it is read, and holds something."""
        written = set(graph.inputs)
        if any(tensor.is_constant for tensor in graph.inputs):
            self._refuse(str(self._damaged("an input is a constant")))
        for operator in graph.operators:
            for tensor in operator.inputs:
                if tensor is not None and not tensor.is_constant and tensor not in written:
                    problem = f"operator {operator.index} ({operator.op}) reads '{tensor.name}' before it is written"
                    self._refuse(str(self._damaged(problem)), operator.index)
            for tensor in operator.outputs:
                if tensor in written or tensor.is_constant:
                    problem = f"operator {operator.index} ({operator.op}) writes '{tensor.name}' again"
                    self._refuse(str(self._damaged(problem)), operator.index)
                written.add(tensor)
        for tensor in graph.outputs:
            if tensor not in written:
                self._refuse(str(self._damaged(f"no operator writes the output '{tensor.name}'")))
        for tensor in written:
            if tensor.elements == 0:
                self._refuse(str(self._damaged(f"tensor '{tensor.name}' has the empty shape {list(tensor.shape)}")))


def _complaint(check: Callable[[Graph], None], graph: Graph) -> str | None:
    """What a check has against a graph."""
    try:
        check(graph)
    except ModelError as error:
        return str(error)
    return None


def _text(value: bytes | None) -> str:
    """A name from the file, fit to be printed on one line."""
    name = "" if value is None else value.decode("utf-8", errors="replace")
    return "".join(character if character.isprintable() else "?" for character in name)


def _fields(options: Any, length: Callable[[int], int]) -> Iterator[tuple[str, Any]]:
    """Yield the fields of a flatbuffer options table by their snake_case schema names, enumerations by name."""
    accessors = vars(type(options))
    for accessor in accessors:
        vector = f"{accessor}Length" in accessors
        if accessor in ("Init", "GetRootAs") or accessor.startswith(("_", "GetRootAs")):
            continue
        if accessor.endswith(("Length", "AsNumpy", "IsNone", "BufferHasIdentifier")):
            continue
        field = re.sub(r"(?<!^)([A-Z])", r"_\1", accessor).lower()
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
        yield field, value
