"""Anybody's ONNX file: checked before any work, its reals made float32, its shapes static, its constants folded.

ONNX Runtime folds: what depends on shapes alone is gone afterwards, and batch norms are in their convolutions.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tinyedge.conversion.network import stacked
from tinyedge.conversion.onnx_opset import OLDEST_TAKEN_AS_IT_IS, OPSETS, in_newer_opset, opset_of
from tinyedge.conversion.onnx_rewrites import rewrite
from tinyedge.conversion.onnx_shapes import fix_shapes, inputs_of, pad_explicitly, static_shape
from tinyedge.conversion.onnx_types import in_float32
from tinyedge.conversion.recurrent import unroll
from tinyedge.errors import ModelError, UnsupportedOpError

if TYPE_CHECKING:
    import onnx

_CONTROL_FLOW = frozenset({"If", "Loop", "Scan", "SequenceMap"})
# MatMulAddFusion puts a Gemm between two Reshapes where a product has tokens, and the product does without.
_UNWANTED_FUSIONS = ["MatMulAddFusion"]


@dataclass(frozen=True)
class OnnxSource:
    """A network whose every shape is known.

    Attributes:
        original: As in the file but for its input shapes, in float32 and padded by numbers.
        folded: The same with its constants folded, its inputs called as `plain_input` says.
        inputs: The names and shapes of its inputs, without initializers.
        outputs: The names and shapes of its outputs.
        notes: What was changed, a sentence each.
    """

    original: "onnx.ModelProto"
    folded: "onnx.ModelProto"
    inputs: tuple[tuple[str, tuple[int, ...]], ...]
    outputs: tuple[tuple[str, tuple[int, ...]], ...]
    notes: tuple[str, ...]


def read_onnx(path: Path, input_shapes: Mapping[str, tuple[int, ...]]) -> OnnxSource:
    """Read, check and fold an ONNX file.

    Args:
        path: Of one of `OPSETS`, float, without control flow.
        input_shapes: By input name, for dimensions that the file leaves open.

    Raises:
        ModelError: It is no ONNX model, is incomplete, or a dimension is open.
        UnsupportedOpError: It is of another opset or holds control flow or operators that are not ONNX's.
    """
    model, notes = _static(path, input_shapes)
    folded = _fold(model, path)
    if opset_of(folded) < OLDEST_TAKEN_AS_IT_IS:
        folded = _fold(in_newer_opset(folded, path), path)  # What it adds is constant too.
    folded = _with_shapes(folded, path)
    _check_control_flow(folded, path)
    notes += unroll(folded)
    rewrite(folded)
    outputs = tuple((value.name, static_shape(value)) for value in folded.graph.output)
    _name_plainly(folded)
    return OnnxSource(model, folded, _ports(model), outputs, notes)


def onnx_inputs(path: Path, input_shapes: Mapping[str, tuple[int, ...]]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Return the names and shapes of an ONNX file's inputs; the arguments and errors are those of `read_onnx`."""
    model, _ = _static(path, input_shapes)
    return _ports(model)


def _static(path: Path, input_shapes: Mapping[str, tuple[int, ...]]) -> "tuple[onnx.ModelProto, tuple[str, ...]]":
    """Return a checked model with static inputs, and what was changed."""
    model = _load(path)
    _check_operators(model, path)
    _check_outputs(model, path)
    notes = in_float32(model, path)
    notes += fix_shapes(model, path, input_shapes)
    pad_explicitly(model)
    return model, notes


def _ports(model: "onnx.ModelProto") -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple((value.name, static_shape(value)) for value in inputs_of(model))


def runner(source: OnnxSource) -> Callable[[Sequence[np.ndarray]], list[np.ndarray]]:
    """Return what runs the original on arrays (n, ...), an input each, and returns an array an output."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(source.original.SerializeToString(), options, ["CPUExecutionProvider"])
    names = [name for name, _ in source.inputs]

    def run(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        samples = [
            session.run(None, {name: values[at : at + 1] for name, values in zip(names, inputs, strict=True)})
            for at in range(len(inputs[0]))
        ]
        return stacked(samples)

    return run


def describe(node: "onnx.NodeProto") -> str:
    """Return how messages name a node."""
    name = node.name or next((output for output in node.output if output), "")
    return f"node '{name}' ({node.op_type})"


def _load(path: Path) -> "onnx.ModelProto":
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(str(path))
    except FileNotFoundError as error:
        if not path.is_file():
            raise ModelError(f"no model at {path}: give an ONNX or a float .tflite file") from None
        raise ModelError(
            f"{path} keeps its weights in another file, {Path(str(error.filename or error)).name}, which is not beside "
            "it: copy both, or export with external_data=False"
        ) from error
    except onnx.checker.ValidationError as error:
        raise ModelError(
            f"{path} keeps its weights in another file that is not beside it ({' '.join(str(error).split())[:200]}): "
            "copy both, or export with external_data=False"
        ) from error
    except (DecodeError, ValueError) as error:
        raise ModelError(f"{path} is not an ONNX model, or is damaged: export it again") from error
    except OSError as error:
        raise ModelError(f"cannot read the model {path}: {error.strerror}") from error
    if not model.graph.node or not model.graph.output:
        raise ModelError(f"{path} is not an ONNX model of any operators, or is truncated: export it again")
    # Old files, and exports with keep_initializers_as_inputs, let a caller replace weights: nothing would be folded.
    inputs = inputs_of(model)
    if len(inputs) < len(model.graph.input):
        del model.graph.input[:]
        model.graph.input.extend(inputs)
        model.ir_version = max(model.ir_version, 4)  # Before, each initializer has to be an input.
    if model.functions:  # As PyTorch's dynamo exporter writes them.
        import onnx.inliner

        model = onnx.inliner.inline_local_functions(model)
    return model


def _check_operators(model: "onnx.ModelProto", path: Path) -> None:
    opset = opset_of(model)
    if opset not in OPSETS:
        raise UnsupportedOpError(
            f"{path} is of opset {opset}, and quantisation takes {OPSETS[0]} to {OPSETS[-1]}: "
            f"export it with opset_version={17 if opset < OPSETS[0] else OPSETS[-1]}"
        )
    for node in model.graph.node:
        if node.domain not in ("", "ai.onnx"):
            raise UnsupportedOpError(
                f"{describe(node)} of {path} is of the domain {node.domain}, not ONNX's own: export the network "
                "without it, before any runtime optimised or quantised it"
            )
        if node.op_type in ("QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger"):
            raise UnsupportedOpError(
                f"{describe(node)} of {path} is quantised already: give the float model from before that"
            )


def _check_outputs(model: "onnx.ModelProto", path: Path) -> None:
    """Refuse an output that no operator makes."""
    made = {output for node in model.graph.node for output in node.output}
    for value in model.graph.output:
        if value.name not in made:
            raise UnsupportedOpError(
                f"output {value.name} of {path} is an input or a constant, which no operator makes: export the network "
                "without it"
            )


def _check_control_flow(folded: "onnx.ModelProto", path: Path) -> None:
    """Refuse a branch or a loop that does not depend on shapes alone, which are known."""
    for node in folded.graph.node:
        if node.op_type in _CONTROL_FLOW:
            raise UnsupportedOpError(
                f"{describe(node)} of {path} is control flow, which no microcontroller's runtime takes: export the "
                "network for one fixed case, loops unrolled"
            )


def plain_input(at: int) -> str:
    """Return what the input at a position is called in a folded network, and no other tensor is."""
    return f"tinyedge_input_{at}"


def _name_plainly(model: "onnx.ModelProto") -> None:
    """Rename inputs and outputs: the converter reads colons in names, as TensorFlow's and PyTorch's have them."""
    names = {value.name: plain_input(at) for at, value in enumerate(inputs_of(model))}
    names |= {
        value.name: f"tinyedge_output_{at}" for at, value in enumerate(model.graph.output) if value.name not in names
    }
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        value.name = names.get(value.name, value.name)
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]


def _fold(model: "onnx.ModelProto", path: Path) -> "onnx.ModelProto":
    import onnx
    import onnxruntime

    with tempfile.TemporaryDirectory(prefix="tinyedge-onnx-") as folder:
        written = Path(folder, "folded.onnx")
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(written)
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        try:
            onnxruntime.InferenceSession(
                model.SerializeToString(), options, ["CPUExecutionProvider"], disabled_optimizers=_UNWANTED_FUSIONS
            )
        except Exception as error:  # Its errors have no common base.
            raise ModelError(
                f"ONNX Runtime refuses {path} ({' '.join(str(error).split())[:300]}): export it again"
            ) from error
        return onnx.load(str(written))


def _with_shapes(folded: "onnx.ModelProto", path: Path) -> "onnx.ModelProto":
    """Return a model with the shapes of all that its nodes make; refuse one that has none."""
    import onnx

    folded = onnx.shape_inference.infer_shapes(folded, data_prop=True)
    shapes = {value.name: value for value in (*folded.graph.value_info, *folded.graph.output)}
    for node in folded.graph.node:
        for output in node.output:
            if output and (
                output not in shapes or any(d.dim_value == 0 for d in shapes[output].type.tensor_type.shape.dim)
            ):
                raise UnsupportedOpError(
                    f"{describe(node)} of {path} makes an output whose shape depends on values: export the network "
                    "without it, as detectors without their non-maximum suppression"
                )
    return folded
