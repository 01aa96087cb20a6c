"""Layer by layer: what INT8 does to every tensor of a network, and where two float stages part."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tinyedge.conversion.onnx import INPUT_NAME
from tinyedge.errors import ModelError
from tinyedge.parity.distance import EXACT_DB, cosine, relative_difference, sqnr_db
from tinyedge.parity.layer_names import layer_name, match_layers
from tinyedge.quantisation.float_executor import FloatExecutor
from tinyedge.runtimes.litert_model import litert_content
from tinyedge.runtimes.litert_session import BUILT_IN, LitertSession
from tinyedge.tflite.graph import Tensor
from tinyedge.tflite.model import Model, open_model
from tinyedge.tflite.schema import schema_class

_LOOKED_UP = {"GATHER": "GELU"}
"""What an operator of the INT8 file is in the float file, where `tinyedge.ops.gelu` wrote it."""


@dataclass(frozen=True)
class LayerParity:
    """The output of one operator over some images: float against INT8.

    Attributes:
        index: The operator's position in the INT8 file.
        name: Where it is in the encoder, `stage3.2 mixer query`; "" where that is not known.
        op: TFLite's name of the operator.
        sqnr_db: Power of the float values over the power of the INT8 file's error, in decibels.
        cosine: Of the float and the dequantised values as one vector.
        input_sqnr_db: The lowest `sqnr_db` among its inputs.
        own_sqnr_db: As `sqnr_db`, but of the error that is made here: against the float operator applied to the values
            that the INT8 file has at this operator's inputs.
    """

    index: int
    name: str
    op: str
    sqnr_db: float
    cosine: float
    input_sqnr_db: float
    own_sqnr_db: float

    @property
    def exact(self) -> bool:
        """Whether the operator itself makes no error."""
        return self.own_sqnr_db >= EXACT_DB

    @property
    def label(self) -> str:
        """What a reader is told: `36 stage3.0 mixer query (FULLY_CONNECTED)`."""
        return f"{self.index} {self.name} ({self.op})" if self.name else f"{self.index} {self.op}"


def compare_layers(
    float_model: Path | Model, int8_model: Path | Model, images: np.ndarray, codes: np.ndarray, names: tuple[str, ...]
) -> tuple[LayerParity, ...]:
    """Compare every operator's float output with the integers that LiteRT computes for the INT8 file.

    Args:
        float_model: What was quantised.
        int8_model: The same operators in the same order; QUANTIZE may stand between them, and a lookup be a GELU.
        images: (n, H, W, C) float32, normalised.
        codes: (n, H, W, C): the same images as the INT8 file takes them.
        names: Of the float file's operators.

    Raises:
        ModelError: The files do not have the same operators.
    """
    float_model, int8_model = open_model(float_model), open_model(int8_model)
    graph, quantised = float_model.any_graph(), int8_model.any_graph()
    # A lookup counts by its last operator: its indices are int32, and no values.
    operators = [o for o in quantised.operators if o.op != "QUANTIZE" and o.output.dtype != np.int32]
    if [_LOOKED_UP.get(o.op, o.op) for o in operators] != [o.op for o in graph.operators]:
        raise ModelError(
            f"{int8_model.path} does not have the operators of {float_model.path}: no layer can be compared"
        )
    outputs = run_operators(int8_model, codes)
    real = {graph.inputs[0]: _dequantise(codes, quantised.inputs[0])}
    for source, operator in zip(graph.operators, operators, strict=True):
        real[source.output] = _dequantise(outputs[operator.index], operator.output)
    total_db: dict[Tensor, float] = {}
    own_db: dict[Tensor, float] = {}
    cosines: dict[Tensor, float] = {}

    def compare(tensor: Tensor, value: torch.Tensor) -> torch.Tensor:
        if tensor.data is None:
            wanted = value.double().numpy()
            total_db[tensor] = sqnr_db(wanted, real[tensor])
            cosines[tensor] = cosine(wanted, real[tensor])
        return value

    def go_on_with_int8(tensor: Tensor, value: torch.Tensor) -> torch.Tensor:
        if tensor.data is not None:
            return value
        own_db[tensor] = sqnr_db(value.numpy(), real[tensor])
        return torch.from_numpy(real[tensor]).float()

    network = FloatExecutor(graph)
    with torch.no_grad():
        for hook in (compare, go_on_with_int8):
            network(torch.from_numpy(images), hook)
    return tuple(
        LayerParity(
            index=operator.index,
            name=name,
            op=source.op,
            sqnr_db=round(total_db[source.output], 2),
            cosine=round(cosines[source.output], 6),
            input_sqnr_db=round(min(total_db[tensor] for tensor in source.inputs if tensor in total_db), 2),
            own_sqnr_db=round(own_db[source.output], 2),
        )
        for source, operator, name in zip(graph.operators, operators, names, strict=True)
    )


def first_difference(
    network: nn.Module, onnx_model: Path, float_model: Path | Model, images: np.ndarray, limit: float
) -> dict[str, str]:
    """Find the first layer of each float file that does not compute what the network's does.

    Args:
        network: The folded network that the files were made from.
        onnx_model: The ONNX file.
        float_model: The float TFLite file.
        images: (n, H, W, C) float32, normalised.
        limit: On the difference of a layer's output, relative to its largest magnitude or 1.

    Returns:
        The layer's name by "ONNX" and "TFLite"; a file whose layers are all within the limit is absent.
    """
    found = {}
    wanted = _run_layers(network, images)
    stages = {"ONNX": _onnx_layers(onnx_model, images), "TFLite": _tflite_layers(float_model, network, images)}
    for stage, layers in stages.items():
        for path, activation, value in layers:
            if path not in wanted:
                continue
            reference = wanted[path] if activation == "NONE" else np.clip(wanted[path], 0, _CEILINGS[activation])
            if not relative_difference(reference, value.reshape(reference.shape)) <= limit:
                found[stage] = layer_name(path)
                break
    return found


_CEILINGS = {"RELU": None, "RELU6": 6.0}


def run_operators(model: Path | Model, images: np.ndarray) -> list[np.ndarray]:
    """Return what each operator of a .tflite file puts out in LiteRT, (n, ...) of the tensor's own type.

    Args:
        model: One input, and one output an operator.
        images: (n, H, W, C) of the model's own type.
    """
    content = litert_content(open_model(model))
    # Our own files name no tensor inside the graph, so tensors are found by their position in the file.
    written = schema_class("Model").GetRootAs(content, 0)
    operators = map(written.Subgraphs(0).Operators, range(written.Subgraphs(0).OperatorsLength()))
    # DEQUANTIZE is only where LiteRT needs it, and no operator of the file itself.
    codes = (written.OperatorCodes(index).BuiltinCode() for index in range(written.OperatorCodesLength()))
    own = [code != schema_class("BuiltinOperator").DEQUANTIZE for code in codes]
    positions = [int(operator.Outputs(0)) for operator in operators if own[operator.OpcodeIndex()]]
    # Without XNNPACK, which merges operators and whose tensors cannot be read.
    return LitertSession(content, BUILT_IN).run_tensors(images, positions)


def _dequantise(codes: np.ndarray, tensor: Tensor) -> np.ndarray:
    """Return the real values of an activation's codes, float64."""
    real: np.ndarray = (codes.astype(np.float64) - tensor.q.zero_point) * tensor.q.scale
    return real


def _run_layers(network: nn.Module, images: np.ndarray) -> dict[str, np.ndarray]:
    """Return the output of each convolution and linear layer by its path, channels last."""
    outputs: dict[str, np.ndarray] = {}

    def keep(path: str, value: torch.Tensor) -> None:
        # A copy: an activation may overwrite it.
        outputs[path] = (value.permute(0, 2, 3, 1) if value.ndim == 4 else value).numpy().copy()

    hooks = [
        module.register_forward_hook(lambda _, __, value, path=path: keep(path, value))
        for path, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    with torch.no_grad():
        network(torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))))
    for hook in hooks:
        hook.remove()
    return outputs


def _onnx_layers(model: Path, images: np.ndarray) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield path, activation and output, channels last, of each convolution of an ONNX file."""
    import onnx
    import onnxruntime

    content = onnx.load(str(model))
    nodes = [node for node in content.graph.node if node.op_type == "Conv" and node.input[1].endswith(".weight")]
    known = {output.name for output in content.graph.output}
    content.graph.output.extend(
        onnx.ValueInfoProto(name=node.output[0]) for node in nodes if node.output[0] not in known
    )
    session = onnxruntime.InferenceSession(content.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [node.output[0] for node in nodes]
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2))  # (n, C, H, W)
    results = [session.run(names, {INPUT_NAME: plane[np.newaxis]}) for plane in planes]
    for node, values in zip(nodes, zip(*results, strict=True), strict=True):
        yield node.input[1].removesuffix(".weight"), "NONE", np.concatenate(values).transpose(0, 2, 3, 1)


def _tflite_layers(
    model: Path | Model, network: nn.Module, images: np.ndarray
) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield path, activation and output of each layer of a float .tflite file whose weights are the network's."""
    model = open_model(model)
    graph = model.any_graph()
    outputs = run_operators(model, images)
    for position, path in match_layers(graph, network).items():
        yield path, graph.operators[position].options["fused_activation_function"], outputs[position]
