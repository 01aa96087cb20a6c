"""What of a model a page runs and shows: its classes, an embedding to learn from, and how pixels become its input."""

from dataclasses import dataclass
from pathlib import Path

from tinyedge.browser.wasm import Learning
from tinyedge.compiler.embedding import find_embedding
from tinyedge.compiler.options import CompileOptions
from tinyedge.compiler.program import Program, compile_graph
from tinyedge.errors import ModelError
from tinyedge.manifest.beside import ImageManifest, manifest_of
from tinyedge.prediction.inputs import Preprocessing, preprocessing_of
from tinyedge.tflite.graph import Graph
from tinyedge.tflite.model import Model

VALUE_TYPES = ("int8", "uint8", "int16", "int32", "float32")
"""Of inputs and outputs that a page reads."""

# TE_CLASS_VALUES of firmware/app/te_classes.h.
_MOST_VALUES = 16384


@dataclass(frozen=True)
class Scores:
    """The output that classifies.

    Attributes:
        output: Its number.
        classes: A name for each of its values.
        is_probability: Whether the model ends with a softmax itself.
    """

    output: int
    classes: tuple[str, ...]
    is_probability: bool


@dataclass(frozen=True)
class WebModel:
    """A model as a page runs it.

    Attributes:
        path: The .tflite file.
        sha256: Of that file.
        program: The compiled model; where it both classifies and teaches, the embedding is its second output.
        preprocessing: How an image becomes its input.
        manifest: What says so; None where it is assumed.
        scores: None for an encoder.
        learning: None where nothing can be learned from.
        learning_advice: Why there is nothing, and what to do about it; None where there is.
    """

    path: Path
    sha256: str
    program: Program
    preprocessing: Preprocessing
    manifest: ImageManifest | None
    scores: Scores | None
    learning: Learning | None
    learning_advice: str | None


def read_web_model(path: Path) -> WebModel:
    """Read and compile a model for a page.

    Args:
        path: A full-INT8 .tflite file; what lies beside it says how it takes images and what its classes are.

    Raises:
        ModelError: It cannot be read or compiled, takes no image, or puts out several tensors or what no page reads.
    """
    model = Model(path)
    graph = model.graph()
    manifest = manifest_of(path)
    preprocessing = preprocessing_of(graph, manifest)
    if len(graph.outputs) != 1:
        raise ModelError(f"{path} puts out {len(graph.outputs)} tensors, and a page shows one")
    for tensor in (*graph.inputs, *graph.outputs):
        if tensor.dtype.name not in VALUE_TYPES:
            raise ModelError(f"'{tensor.name}' of {path} is {tensor.dtype}, and a page reads {', '.join(VALUE_TYPES)}")
    scores = _scores(graph, manifest)
    found = _prepare_learning(graph, scores, manifest)
    program = page_program(graph)
    learning, advice = (None, found) if isinstance(found, str) else (found, None)
    return WebModel(path, graph.sha256, program, preprocessing, manifest, scores, learning, advice)


def page_program(graph: Graph) -> Program:
    """Compile a graph for a browser, which has the memory to run all layers one after the other."""
    return compile_graph(graph, CompileOptions("wasm", cascade="never", optimize="speed"))


def _scores(graph: Graph, manifest: ImageManifest | None) -> Scores | None:
    (output,) = graph.outputs
    classes = None if manifest is None else manifest.classes
    if classes is None:  # Images, and boxes of many objects, are no scores.
        classes = tuple(map(str, range(output.elements))) if output.elements == max(output.shape, default=1) else ()
    if len(classes) != output.elements:
        return None
    ops = [operator.op for operator in graph.operators if operator.op not in ("QUANTIZE", "DEQUANTIZE")]
    return Scores(0, classes, ops[-1:] == ["SOFTMAX"])


def _prepare_learning(graph: Graph, scores: Scores | None, manifest: ImageManifest | None) -> Learning | str:
    """Make an embedding that is none of the outputs one of them, after the scores; or say why there is none."""
    try:
        embedding = find_embedding(graph)
    except ModelError as error:
        return str(error)
    is_output = embedding in graph.outputs
    if is_output and manifest is not None and manifest.classes and scores:
        return (
            "its classifier is folded into convolutions: export the encoder alone with "
            "`tinyedge export RUN --encoder-only`, and give that to `tinyedge web`"
        )
    if embedding.elements > _MOST_VALUES:
        return (
            f"its embedding has {embedding.elements:,} values, and a class is learned from {_MOST_VALUES:,} at most: "
            "pool it in the model"
        )
    if not is_output:
        graph.outputs = (*graph.outputs, embedding)
    return Learning(graph.outputs.index(embedding), embedding.elements, embedding.q.zero_point)
